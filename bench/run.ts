/** `npm run bench`: every figure of one run, side by side, with its ratio and its target. See README.md. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import autocannon from "autocannon";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { bundleWorker } from "../src/cli/bundle.ts";
import { encodeBlob } from "../src/versions/blob.ts";
import { deploymentKey, versionKey } from "../src/versions/keys.ts";
import { DEPLOYMENT, KEY_LENGTHS, keysOf } from "./input.ts";

/** Short slices, many rounds: a machine whose speed drifts then slows all contenders of a round alike. */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 21);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const CONNECTIONS = Number(process.env.BENCH_CONNECTIONS ?? 32);
const DECISIONS_PER_ROUND = 1_000;

interface Row {
  readonly what: string;
  readonly value: string;
  readonly against: string;
  readonly ratio: number;
  readonly target: string;
  readonly met: boolean;
}

const worker = (name: string) => bundleWorker(join(import.meta.dirname, "workers", `${name}.ts`));

const shared = { host: "127.0.0.1", port: 0, cf: false as const, log: new Log(LogLevel.NONE) };
const base = { compatibilityDate: "2026-11-17" };

const rows: Row[] = [];
rows.push(...(await measureDecisions()));
rows.push(...(await measureRequests()));
printTable(rows);

async function measureDecisions(): Promise<Row[]> {
  const { modules } = await worker("decision");
  const mf = new Miniflare(convertV4MiniflareOptions({ ...shared, ...base, modules }));
  const time = async (contender: string, length: number, rounds: number) => {
    const query = new URLSearchParams({ contender, length: String(length), rounds: String(rounds) });
    const started = performance.now();
    await (await mf.dispatchFetch(`http://bench/?${query}`)).text();
    return performance.now() - started;
  };
  const found: Row[] = [];
  for (const length of KEY_LENGTHS) {
    const contenders = ["bare xxh32", "decision"];
    const samples = new Map<string, number[]>(contenders.map((name) => [name, []]));
    for (const name of contenders) await time(name, length, DECISIONS_PER_ROUND);
    for (let round = 0; round < ROUNDS; round++) {
      for (const name of round % 2 === 0 ? contenders : contenders.toReversed()) {
        // What one request costs around the loop is taken off.
        const overhead = await time(name, length, 0);
        const total = await time(name, length, DECISIONS_PER_ROUND);
        const count = DECISIONS_PER_ROUND * keysOf(length).length;
        samples.get(name)?.push(((total - overhead) * 1e6) / count);
      }
    }
    const bare = median(samples.get("bare xxh32") ?? []);
    const ours = median(samples.get("decision") ?? []);
    found.push({
      what: `split decision, ${length}-character keys, 2 versions`,
      value: `${ours.toFixed(0)} ns`,
      against: `bare xxh32 of xxhash-wasm: ${bare.toFixed(0)} ns`,
      ratio: ours / bare,
      target: "≤ 1.15",
      met: ours / bare <= 1.15,
    });
  }
  await mf.dispose();
  return found;
}

interface Sample {
  readonly requestsPerSecond: number;
  readonly cpuMicroseconds: number;
  readonly p50: number;
  readonly p99: number;
}

async function measureRequests(): Promise<Row[]> {
  const names = ["direct", "passthrough", "isolates", "modules"] as const;
  type Name = (typeof names)[number];
  const socket = { host: "127.0.0.1", port: 0 };
  const bundles = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await worker(name)])),
  );
  const mf = new Miniflare(
    convertV4MiniflareOptions({
      ...shared,
      workers: names.map((name) => ({
        ...base,
        name,
        modules: bundles[name].modules,
        unsafeDirectSockets: [socket],
        ...(name === "passthrough" ? { serviceBindings: { DIRECT: "direct" } } : {}),
        ...(name === "isolates" || name === "modules" ? { kvNamespaces: { KV: "bench" } } : {}),
        ...(name === "isolates" ? { workerLoaders: { LOADER: {} } } : {}),
      })),
    }),
  );
  const kv = await mf.getKVNamespace("KV", "isolates");
  await kv.put(deploymentKey("bench"), JSON.stringify(DEPLOYMENT));
  for (const { version_id, number } of DEPLOYMENT.versions) {
    const code = `export default { fetch: () => new Response("Hello from version ${number}\\n") };`;
    await kv.put(versionKey(version_id), toBlob(version_id, code).buffer as never);
  }
  const urls = {} as Record<Name, URL>;
  for (const name of names) urls[name] = await mf.unsafeGetDirectURL(name);
  const pid = workerdPid();
  await checkAnswers(urls);

  const samples = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as Record<Name, Sample[]>;
  for (const name of names) await load(urls[name], 2, pid);
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      samples[name].push(await load(urls[name], SECONDS, pid));
    }
  }
  await mf.dispose();

  const middle = (name: Name, field: keyof Sample) => median(samples[name].map((sample) => sample[field]));
  console.log(
    "\nRequests, medians of %d rounds of %d s, %d connections, raw rounds below",
    ROUNDS,
    SECONDS,
    CONNECTIONS,
  );
  for (const name of names) {
    console.log(
      `  ${name.padEnd(12)} ${middle(name, "requestsPerSecond").toFixed(0).padStart(6)} req/s  ${middle(name, "cpuMicroseconds").toFixed(1).padStart(6)} µs CPU  p50 ${middle(name, "p50")} ms  p99 ${middle(name, "p99")} ms   [${samples[name].map((sample) => sample.requestsPerSecond.toFixed(0)).join(" ")}]`,
    );
  }
  // Round by round, since the contenders of one round met the same machine; then the median of those ratios.
  const paired = (name: Name, reference: Name, field: keyof Sample) =>
    median(samples[name].map((sample, round) => sample[field] / (samples[reference][round]?.[field] ?? 0)));
  const compare = (name: Name, reference: Name, target: number): Row[] => {
    const rps = paired(name, reference, "requestsPerSecond");
    const cpu = paired(name, reference, "cpuMicroseconds");
    return [
      {
        what: `requests per second, ${name}`,
        value: middle(name, "requestsPerSecond").toFixed(0),
        against: `${reference}: ${middle(reference, "requestsPerSecond").toFixed(0)}`,
        ratio: rps,
        target: `≥ ${target.toFixed(2)}`,
        met: rps >= target,
      },
      {
        what: `CPU per request, ${name}`,
        value: `${middle(name, "cpuMicroseconds").toFixed(1)} µs`,
        against: `${reference}: ${middle(reference, "cpuMicroseconds").toFixed(1)} µs`,
        ratio: cpu,
        target: `≤ ${(1 / target).toFixed(2)}`,
        met: cpu <= 1 / target,
      },
    ];
  };
  return [...compare("isolates", "passthrough", 0.9), ...compare("modules", "direct", 0.85)];
}

function toBlob(version: string, code: string) {
  return encodeBlob({
    header: {
      worker: "bench",
      version,
      created_on: new Date(0).toISOString(),
      tag: null,
      main_module: "index.js",
      compatibility_date: "2026-11-17",
      compatibility_flags: [],
      bindings: [],
      has_default: true,
    },
    modules: [{ name: "index.js", type: "js", bytes: new TextEncoder().encode(code) }],
  });
}

/** A contender that answers wrongly is no contender. */
async function checkAnswers(urls: Record<string, URL>): Promise<void> {
  for (const [name, url] of Object.entries(urls)) {
    const seen = new Set<string>();
    for (const key of keysOf(36).slice(0, 64)) {
      const response = await fetch(url, { headers: { "Cloudflare-Workers-Version-Key": key } });
      seen.add(`${response.status} ${(await response.text()).trim()}`);
    }
    const expected = name === "isolates" || name === "modules" ? [1, 2] : [1];
    const wanted = expected.map((number) => `200 Hello from version ${number}`).join();
    if ([...seen].sort().join() !== wanted) throw new Error(`${name} answers ${[...seen]}, not ${wanted}`);
  }
}

async function load(url: URL, seconds: number, pid: number): Promise<Sample> {
  const before = cpuSeconds(pid);
  const result = await autocannon({
    url: url.href,
    connections: CONNECTIONS,
    duration: seconds,
    requests: keysOf(36).map((key) => ({ headers: { "Cloudflare-Workers-Version-Key": key } })),
  });
  const cpu = cpuSeconds(pid) - before;
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${result.non2xx + result.errors} requests failed`);
  return {
    requestsPerSecond: result.requests.total / result.duration,
    cpuMicroseconds: (cpu * 1e6) / result.requests.total,
    p50: result.latency.p50,
    p99: result.latency.p99,
  };
}

/** The one workerd below this process. */
function workerdPid(): number {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8")
    .trim()
    .split(" ")
    .map(Number);
  const found = children.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("workerd"));
  if (found.length !== 1) throw new Error(`expected one workerd, found ${found.length}`);
  return found[0] as number;
}

/** User and system time of a process, from proc(5), in seconds; the clock tick is 10 ms on Linux. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function printTable(table: readonly Row[]): void {
  console.log("\n| what | value | against | ratio | target | |\n| --- | --- | --- | --- | --- | --- |");
  for (const { what, value, against, ratio, target, met } of table) {
    console.log(
      `| ${what} | ${value} | ${against} | ${ratio.toFixed(2)} | ${target} | ${met ? "met" : "MISSED"} |`,
    );
  }
  if (table.some(({ met }) => !met)) process.exitCode = 1;
}
