/** 10,000 Workers against one: the cost of a decision, and the start, memory and CPU of the whole program. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shuffled } from "../input.ts";
import { cpuMicroseconds, residentMiB } from "../load.ts";
import { Sluice } from "../sluice.ts";
import { atMost, median, medianRatio, type Row, report } from "../table.ts";
import { bundleBench, hello, publish, startWorkers } from "../workerd.ts";

const WORKERS = Number(process.env.BENCH_WORKERS ?? 10_000);
const ROUNDS = Number(process.env.BENCH_SCALE_ROUNDS ?? 9);
/** Requests of each Worker in one slice. */
const PASSES = 10;
/** Workers in one request to the contenders. */
const CHUNK = 500;
/** Slices for the whole program, and requests in each. */
const SERVE_ROUNDS = 4;
const SERVE_REQUESTS = 1_000;
const LANES = 16;

const workers = Array.from({ length: WORKERS }, (_, n) => `w-${String(n).padStart(5, "0")}`);
const [first] = workers as [string];

export async function measure(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  try {
    const rows = await choices(join(folder, "data/storage"));
    return [...rows, ...(await program(folder))];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Two isolates with the same code in one process: only their contents differ. Leaves the records in `storage`. */
async function choices(storage: string): Promise<Row[]> {
  const { modules } = await bundleBench("scale");
  const names = ["one", "many"] as const;
  type Name = (typeof names)[number];
  const mf = startWorkers(
    names.map((name) => ({ name, modules, kvNamespaces: { KV: "sluice" } })),
    storage,
  );
  try {
    await publish(mf, "many");
    const urls = { one: await mf.unsafeGetDirectURL("one"), many: await mf.unsafeGetDirectURL("many") };
    const post = (name: Name, path: string, texts: readonly string[]) =>
      answerOf(fetch(new URL(path, urls[name]), { method: "POST", body: JSON.stringify(texts) }));
    const time = async (name: Name, part: string, passes: number) => {
      const started = performance.now();
      await answerOf(fetch(new URL(`/time?part=${part}&passes=${passes}`, urls[name])));
      return performance.now() - started;
    };
    for (const chunk of chunks(workers)) await post("many", "/write", chunk);
    const started = performance.now();
    for (const chunk of chunks(workers)) await post("many", "/load", chunk);
    const load = (performance.now() - started) / WORKERS;
    await post("one", "/load", [first]);
    // Both sides get the same number of URLs, all of one length. Only the hosts differ.
    const visits = shuffled(workers);
    await post(
      "many",
      "/visit",
      visits.map((worker) => `http://${worker}.localhost/page/${worker}?q=1`),
    );
    await post(
      "one",
      "/visit",
      visits.map((worker) => `http://${first}.localhost/page/${worker}?q=1`),
    );

    const samples = async (part: string) => {
      const taken: Record<Name, number[]> = { one: [], many: [] };
      for (const name of names) await time(name, part, PASSES);
      for (let round = 0; round < ROUNDS; round++) {
        for (const name of round % 2 === 0 ? names : names.toReversed()) {
          // The cost of a request without lookups is subtracted.
          const overhead = await time(name, part, 0);
          const total = await time(name, part, PASSES);
          taken[name].push(((total - overhead) * 1e6) / (PASSES * visits.length));
        }
      }
      return taken;
    };
    const [lookup, decision] = [await samples("lookup"), await samples("decision")];
    const row = (what: string, taken: Record<Name, number[]>) => ({
      what,
      value: `${median(taken.many).toFixed(0)} ns`,
      against: `1 Worker: ${median(taken.one).toFixed(0)} ns`,
      ratio: medianRatio(taken.many, taken.one),
    });
    const alone = row(`lookup alone, ${WORKERS} Workers`, lookup);
    return [
      atMost(1.2, row(`lookup and decision, ${WORKERS} Workers`, decision)),
      report(alone.what, alone.value, alone.against, alone.ratio),
      report("first lookup of a Worker, which reads KV", `${load.toFixed(2)} ms`),
    ];
  } finally {
    await mf.dispose();
  }
}

/** `sluice serve` on that folder. All Workers share two versions, since 20,000 isolates would measure workerd instead. */
async function program(folder: string): Promise<Row[]> {
  const alone = await timed(() => Sluice.start());
  let aloneMiB: number;
  try {
    await alone.result.deploy(first, hello(1));
    await requestAll(alone.result, new Array<string>(WORKERS).fill(first));
    aloneMiB = residentMiB(alone.result.pids.runtime_pid);
  } finally {
    await alone.result.stop();
  }
  const { result: sluice, ms } = await timed(() => Sluice.start([], folder));
  try {
    const { runtime_pid } = sluice.pids;
    const startMiB = residentMiB(runtime_pid);
    await requestAll(sluice, workers);
    const servedMiB = residentMiB(runtime_pid);
    const { one, many } = await cpuOfRequests(sluice);
    return [
      report(
        `start of sluice serve, ${WORKERS} Workers deployed`,
        `${ms.toFixed(0)} ms`,
        `none: ${alone.ms.toFixed(0)} ms`,
        ms / alone.ms,
      ),
      report(
        `resident memory of its workerd, a request to each of ${WORKERS} Workers`,
        `${servedMiB.toFixed(0)} MiB`,
        `as many to 1 Worker: ${aloneMiB.toFixed(0)} MiB; after the start: ${startMiB.toFixed(0)} MiB`,
        servedMiB / aloneMiB,
      ),
      report(
        `CPU per request, ${WORKERS} Workers in turn`,
        `${median(many).toFixed(0)} µs`,
        `1 Worker: ${median(one).toFixed(0)} µs`,
        medianRatio(many, one),
      ),
    ];
  } finally {
    await sluice.stop();
  }
}

/** CPU time per request in microseconds, one figure per round. */
async function cpuOfRequests(sluice: Sluice) {
  const pids = [sluice.pids.runtime_pid];
  const taken = { one: [] as number[], many: [] as number[] };
  const visits = shuffled(workers);
  for (let round = 0; round < SERVE_ROUNDS; round++) {
    const from = (round * SERVE_REQUESTS) % WORKERS;
    const many = visits.slice(from, from + SERVE_REQUESTS);
    const hosts = { one: many.map(() => first), many };
    for (const side of round % 2 === 0 ? (["one", "many"] as const) : (["many", "one"] as const)) {
      const before = cpuMicroseconds(pids);
      await requestAll(sluice, hosts[side]);
      taken[side].push((cpuMicroseconds(pids) - before) / many.length);
    }
  }
  return taken;
}

async function requestAll(sluice: Sluice, hosts: readonly string[]): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < hosts.length) {
      const host = hosts[next++] as string;
      const { status, body } = await sluice.get(host, `key-${next}`);
      if (status !== 200 || !/^Hello from version [12]\n$/.test(body))
        throw new Error(`${host}: ${status} ${body}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly ms: number }> {
  const started = performance.now();
  const result = await work();
  return { result, ms: performance.now() - started };
}

async function answerOf(answer: Promise<Response>): Promise<void> {
  const response = await answer;
  const text = await response.text();
  if (!response.ok) throw new Error(text);
}

function chunks<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / CHUNK) }, (_, n) =>
    items.slice(n * CHUNK, (n + 1) * CHUNK),
  );
}
