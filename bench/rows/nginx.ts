/**
 * Sluice's router against the usual alternative: nginx, which splits by the same key and proxies each request to the
 * version. With nginx a request passes through two programs, with Sluice through one.
 */
import { availableParallelism } from "node:os";
import type { Miniflare } from "miniflare";
import { keysOf } from "../input.ts";
import {
  type Contender,
  type LoadTool,
  middle,
  openLoadTool,
  pairedRatio,
  type Result,
  type Sample,
  workerdPids,
} from "../load.ts";
import { Nginx, nginxVersion } from "../nginx.ts";
import { Sluice } from "../sluice.ts";
import { type Row, report } from "../table.ts";
import { bundleBench, hello, publish, startWorkers } from "../workerd.ts";
import { checkAnswers } from "./requests.ts";

const ROUNDS = Number(process.env.BENCH_NGINX_ROUNDS ?? 12);
/** Whole seconds, since wrk takes no others. */
const WARM_UP_SECONDS = Number(process.env.BENCH_NGINX_WARM_UP_SECONDS ?? 5);
const SLICE_SECONDS = 1;

const CORES = availableParallelism();
const ONE = "modules, one process";
const PER_CORE = "isolates, a process per core";

/** Starts a contender, measures it, and ends it even after a failure. */
type With = (measure: (contender: Contender) => Promise<Result>) => Promise<Result>;

export async function measure(): Promise<Row[]> {
  const version = nginxVersion();
  if (version === undefined) {
    return [ONE, PER_CORE].map((name) => report(`${name}, against nginx`, "nginx is not installed"));
  }
  const tool = openLoadTool();
  console.log(`\nAgainst ${version}, in turns of ${SLICE_SECONDS} s, requests of ${tool.name}:`);
  try {
    const one = await versus(tool, ONE, withModules, 1);
    const perCore = await versus(tool, PER_CORE, withSluice, CORES);
    return [
      more(`requests per second, ${ONE}`, one, "requestsPerSecond", 0),
      less(`p99 in ms, ${ONE}`, one, "p99", 2),
      less(`CPU per request in µs, ${ONE}`, one, "cpuMicroseconds", 1),
      more(`requests per second, ${PER_CORE}`, perCore, "requestsPerSecond", 0),
    ];
  } finally {
    tool.close();
  }
}

async function versus(tool: LoadTool, name: string, withOurs: With, workers: number): Promise<Result> {
  const result = await withOurs((ours) => withNginx(workers, (theirs) => takeTurns(tool, { ours, theirs })));
  print(name, result.ours);
  print(`nginx, ${workers} of its workers`, result.theirs);
  return result;
}

async function takeTurns(
  tool: LoadTool,
  contenders: Readonly<Record<keyof Result, Contender>>,
): Promise<Result> {
  const result = { ours: [] as Sample[], theirs: [] as Sample[] };
  const slice = async (side: keyof Result) => {
    result[side].push(await tool.load(contenders[side], SLICE_SECONDS));
  };
  await tool.load(contenders.ours, WARM_UP_SECONDS);
  await tool.load(contenders.theirs, WARM_UP_SECONDS);
  for (let round = 0; round < ROUNDS; round++) {
    // The order alternates, so that no contender profits from being first.
    if (round % 2 === 0) await slice("ours");
    await slice("theirs");
    if (round % 2 === 1) await slice("ours");
  }
  return result;
}

/** nginx in front of one workerd process with the two versions and no router. */
async function withNginx(workers: number, measure: Parameters<With>[0]): Promise<Result> {
  const names = ["version-1", "version-2"] as const;
  const { mf, pids } = await startProcess([
    { name: names[0], modules: true, script: hello(1) },
    { name: names[1], modules: true, script: hello(2) },
  ]);
  try {
    const [a, b] = await Promise.all(names.map((name) => mf.unsafeGetDirectURL(name)));
    const nginx = await Nginx.start(workers, [(a as URL).host, (b as URL).host]);
    try {
      await checkAnswers("nginx", nginx.url, [1, 2]);
      return await measure({ url: nginx.url, pids: [...nginx.pids, ...pids] });
    } finally {
      await nginx.stop();
    }
  } finally {
    await mf.dispose();
  }
}

const withModules: With = async (measure) => {
  const { modules } = await bundleBench("modules");
  const { mf, pids } = await startProcess([{ name: "modules", modules, kvNamespaces: { KV: "bench" } }]);
  try {
    await publish(mf, "modules");
    const url = (await mf.unsafeGetDirectURL("modules")).href;
    await checkAnswers("modules", url, [1, 2]);
    return await measure({ url, pids });
  } finally {
    await mf.dispose();
  }
};

const withSluice: With = async (measure) => {
  const sluice = await Sluice.start(["--processes", String(CORES)]);
  try {
    const versions = [await sluice.deploy("bench", hello(1)), await sluice.upload("bench", hello(2))];
    await sluice.split("bench", ...versions.map((id) => [id, 50] as const));
    await checkSluice(sluice);
    const { runtime_pid, traffic_pids } = sluice.pids;
    return await measure({
      url: `http://127.0.0.1:${sluice.trafficPort}/`,
      host: `bench.localhost:${sluice.trafficPort}`,
      pids: [runtime_pid, ...traffic_pids],
    });
  } finally {
    await sluice.stop();
  }
};

/** Starts workerd with these Workers. @returns it with its process id */
async function startProcess(
  workers: Parameters<typeof startWorkers>[0],
): Promise<{ mf: Miniflare; pids: number[] }> {
  const others = new Set(workerdPids());
  const mf = startWorkers(workers);
  await mf.ready;
  return { mf, pids: workerdPids().filter((pid) => !others.has(pid)) };
}

/** Like checkAnswers, but without fetch: not every system resolves names below localhost. */
async function checkSluice(sluice: Sluice): Promise<void> {
  const seen = new Set<string>();
  for (const key of keysOf(36).slice(0, 64)) {
    const { status, body } = await sluice.get("bench", key);
    seen.add(`${status} ${body.trim()}`);
  }
  const wanted = "200 Hello from version 1,200 Hello from version 2";
  if ([...seen].sort().join() !== wanted) throw new Error(`${PER_CORE} answers ${[...seen]}, not ${wanted}`);
}

function print(name: string, samples: readonly Sample[]): void {
  const of = (field: keyof Sample, digits: number) => middle(samples, field).toFixed(digits);
  console.log(
    `  ${name.padEnd(30)} ${of("requestsPerSecond", 0).padStart(6)} req/s  ${of("cpuMicroseconds", 1).padStart(6)} µs CPU  ` +
      `p50 ${of("p50", 2)} ms  p99 ${of("p99", 2)} ms  ${samples.length} slices`,
  );
}

function more(what: string, result: Result, field: keyof Sample, digits: number): Row {
  const row = compared(what, result, field, digits);
  return { ...row, target: "> 1.00", met: row.ratio > 1 };
}

function less(what: string, result: Result, field: keyof Sample, digits: number): Row {
  const row = compared(what, result, field, digits);
  return { ...row, target: "< 1.00", met: row.ratio < 1 };
}

function compared(what: string, { ours, theirs }: Result, field: keyof Sample, digits: number) {
  const show = (samples: readonly Sample[]) => middle(samples, field).toFixed(digits);
  return {
    what,
    value: show(ours),
    against: `nginx: ${show(theirs)}`,
    ratio: pairedRatio(ours, theirs, field),
  };
}
