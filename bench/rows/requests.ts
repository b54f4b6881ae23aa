/** What the router adds to a request: with isolates against a one-line passthrough, with modules against no router. */
import { keysOf } from "../input.ts";
import { duels, middle, pairedRatio, type Result, type Sample, workerdPids } from "../load.ts";
import { atLeast, atMost, type Row, report } from "../table.ts";
import { bundleBench, publish, startWorkers } from "../workerd.ts";

const NAMES = [
  "direct",
  "hono",
  "modules",
  "modules-uncounted",
  "passthrough",
  "passthrough-one",
  "loader",
  "isolates",
  "isolates-uncounted",
] as const;
type Name = (typeof NAMES)[number];

/** Rounds of the pairs that explain a ratio and have no target. */
const EXPLAINING_ROUNDS = 40;

const BINDINGS: Partial<Record<Name, object>> = {
  passthrough: { serviceBindings: { A: "direct", B: "twin" } },
  "passthrough-one": { serviceBindings: { A: "direct" } },
  loader: { workerLoaders: { LOADER: {} } },
  modules: { kvNamespaces: { KV: "bench" } },
  "modules-uncounted": { kvNamespaces: { KV: "bench" } },
  isolates: { kvNamespaces: { KV: "bench" }, workerLoaders: { LOADER: {} } },
  "isolates-uncounted": { kvNamespaces: { KV: "bench" }, workerLoaders: { LOADER: {} } },
};

export async function measure(): Promise<Row[]> {
  const bundles = await Promise.all(NAMES.map(async (name) => ({ name, ...(await bundleBench(name)) })));
  const twin = { name: "twin", modules: bundles[0]?.modules };
  const mf = startWorkers([
    twin,
    ...bundles.map(({ name, modules }) => ({ name, modules, ...BINDINGS[name] })),
  ]);
  await publish(mf, "isolates");
  const pids = workerdPids();
  const contenders = {} as Record<Name, { url: string; pids: number[] }>;
  for (const name of NAMES) contenders[name] = { url: (await mf.unsafeGetDirectURL(name)).href, pids };
  for (const name of NAMES) {
    await checkAnswers(name, contenders[name].url, /^(isolates|modules)/.test(name) ? [1, 2] : [1]);
  }
  console.log("\nRequests, in turns of the two that are compared:");
  const results = await duels(contenders, [
    { ours: "isolates", theirs: "passthrough" },
    { ours: "modules", theirs: "direct" },
    { ours: "hono", theirs: "direct", rounds: EXPLAINING_ROUNDS },
    { ours: "loader", theirs: "passthrough", rounds: EXPLAINING_ROUNDS },
    { ours: "passthrough", theirs: "passthrough-one", rounds: EXPLAINING_ROUNDS },
    { ours: "modules", theirs: "modules-uncounted", rounds: EXPLAINING_ROUNDS },
    { ours: "isolates", theirs: "isolates-uncounted", rounds: EXPLAINING_ROUNDS },
  ]);
  await mf.dispose();
  const [isolates, modules, hono, loader, second, countedModules, countedIsolates] = results as [
    Result,
    Result,
    Result,
    Result,
    Result,
    Result,
    Result,
  ];
  return [
    ...versus("isolates", "passthrough", isolates),
    ...versus("modules", "direct", modules),
    cost("CPU per request of Hono alone", "direct", hono),
    cost("CPU per request of Worker Loader alone", "passthrough", loader),
    cost("CPU per request of a second Worker behind a passthrough", "passthrough to one", second),
    cost("CPU per request with counting, modules", "without", countedModules),
    cost("CPU per request with counting, isolates", "without", countedIsolates),
  ];
}

function versus(name: string, reference: string, { ours, theirs }: Result): Row[] {
  const row = (what: string, field: keyof Sample, digits: number) => ({
    what: `${what}, ${name}`,
    value: middle(ours, field).toFixed(digits),
    against: `${reference}: ${middle(theirs, field).toFixed(digits)}`,
    ratio: pairedRatio(ours, theirs, field),
  });
  return [
    atLeast(0.95, row("requests per second", "requestsPerSecond", 0)),
    atMost(1.05, row("CPU per request in µs", "cpuMicroseconds", 1)),
    atMost(1.05, row("p50 in ms", "p50", 2)),
    atMost(1.2, row("p99 in ms", "p99", 2)),
  ];
}

function cost(what: string, reference: string, { ours, theirs }: Result): Row {
  return report(
    what,
    `${middle(ours, "cpuMicroseconds").toFixed(1)} µs`,
    `${reference}: ${middle(theirs, "cpuMicroseconds").toFixed(1)} µs`,
    pairedRatio(ours, theirs, "cpuMicroseconds"),
  );
}

/** Fails if a contender gives a wrong answer. */
export async function checkAnswers(name: string, url: string, numbers: readonly number[]): Promise<void> {
  const seen = new Set<string>();
  for (const key of keysOf(36).slice(0, 64)) {
    const response = await fetch(url, { headers: { "Cloudflare-Workers-Version-Key": key } });
    seen.add(`${response.status} ${(await response.text()).trim()}`);
  }
  const wanted = numbers.map((number) => `200 Hello from version ${number}`).join();
  if ([...seen].sort().join() !== wanted) throw new Error(`${name} answers ${[...seen]}, not ${wanted}`);
}
