/** HTTP load on two contenders in turns, and the CPU time of the processes that served it. */
import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import autocannon from "autocannon";
import { Client } from "./client.ts";
import { keysOf } from "./input.ts";
import { median, medianRatio, percentile } from "./table.ts";

const exec = promisify(execFile);

/** Short slices and many rounds, so that a machine whose speed drifts slows both contenders of a round alike. */
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 120);
const SLICE_SECONDS = Number(process.env.BENCH_SLICE_SECONDS ?? 0.25);
const CONNECTIONS = Number(process.env.BENCH_CONNECTIONS ?? 32);
/** Load before the first round. The compiler has optimised the hot path after about ten thousand requests. */
const WARM_UP_SECONDS = Number(process.env.BENCH_WARM_UP_SECONDS ?? 6);

export interface Sample {
  readonly requestsPerSecond: number;
  /** User and system time of the serving processes, per request. */
  readonly cpuMicroseconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

export interface Contender {
  readonly url: string;
  /** The processes whose CPU time is measured. */
  readonly pids: readonly number[];
  /** Host header, if it differs from the URL's host. */
  readonly host?: string;
}

/** Two contenders measured together. */
export interface Duel<Name extends string> {
  readonly ours: Name;
  readonly theirs: Name;
  /** Number of rounds, if not the default. */
  readonly rounds?: number;
}

export interface Result {
  readonly ours: readonly Sample[];
  readonly theirs: readonly Sample[];
}

/**
 * Measures pairs of contenders, the two of a pair in turns of a quarter of a second. With two cores or more, the servers
 * get the first and the client the last, which a spinner keeps from halting. Waking a halted virtual core costs the
 * server more than a request does, and how often it happens depends on the request rate, not on the contender's work.
 */
export async function duels<Name extends string>(
  contenders: Readonly<Record<Name, Contender>>,
  pairs: readonly Duel<Name>[],
): Promise<Result[]> {
  const cores = pin(Object.values<Contender>(contenders).flatMap(({ pids }) => pids));
  const results: Result[] = [];
  try {
    for (const pair of pairs) results.push(await duel(contenders, pair));
  } finally {
    cores?.release();
  }
  return results;
}

async function duel<Name extends string>(
  contenders: Readonly<Record<Name, Contender>>,
  { ours, theirs, rounds = ROUNDS }: Duel<Name>,
): Promise<Result> {
  const result = { ours: [] as Sample[], theirs: [] as Sample[] };
  const open = (name: Name) => Client.open(contenders[name].url, CONNECTIONS);
  const clients = { ours: await open(ours), theirs: await open(theirs) };
  const slice = async (side: "ours" | "theirs") => {
    const { pids } = contenders[side === "ours" ? ours : theirs];
    result[side].push(await sample(clients[side], pids));
  };
  try {
    // The warm-up takes short turns too, since a server closes a connection that is idle for seconds.
    for (let warm = 0; warm < WARM_UP_SECONDS; warm++) {
      await clients.ours.load(1);
      await clients.theirs.load(1);
    }
    for (let round = 0; round < rounds; round++) {
      // The order alternates, so that no contender profits from being first.
      if (round % 2 === 0) await slice("ours");
      await slice("theirs");
      if (round % 2 === 1) await slice("ours");
    }
  } finally {
    clients.ours.close();
    clients.theirs.close();
  }
  print(ours, result.ours);
  print(theirs, result.theirs);
  return result;
}

async function sample(client: Client, pids: readonly number[]): Promise<Sample> {
  const before = cpuMicroseconds(pids);
  const { requests, seconds, latencies } = await client.load(SLICE_SECONDS);
  return {
    requestsPerSecond: requests / seconds,
    cpuMicroseconds: (cpuMicroseconds(pids) - before) / requests,
    p50: percentile(latencies, 50),
    p99: percentile(latencies, 99),
  };
}

function print(name: string, samples: readonly Sample[]): void {
  const of = (field: keyof Sample, digits: number) => middle(samples, field).toFixed(digits);
  const rates = samples.map(({ requestsPerSecond }) => requestsPerSecond);
  console.log(
    `  ${name.padEnd(16)} ${of("requestsPerSecond", 0).padStart(6)} req/s (quartiles ${percentile(rates, 25).toFixed(0)} to ${percentile(rates, 75).toFixed(0)})  ` +
      `${of("cpuMicroseconds", 1).padStart(6)} µs CPU  p50 ${of("p50", 2)} ms  p99 ${of("p99", 2)} ms  ${samples.length} slices`,
  );
}

/** `medianRatio` of one field. */
export function pairedRatio(
  samples: readonly Sample[],
  reference: readonly Sample[],
  field: keyof Sample,
): number {
  const values = (of: readonly Sample[]) => of.map((sample) => sample[field]);
  return medianRatio(values(samples), values(reference));
}

export function middle(samples: readonly Sample[], field: keyof Sample): number {
  return median(samples.map((sample) => sample[field]));
}

export interface LoadTool {
  readonly name: string;
  load(contender: Contender, seconds: number): Promise<Sample>;
  close(): void;
}

/** wrk if it is installed, since it needs a tenth of a core, else autocannon. Every request has a key; no core is pinned. */
export function openLoadTool(): LoadTool {
  if (spawnSync("wrk", ["-v"]).error !== undefined)
    return { name: "autocannon", load: loadAutocannon, close() {} };
  const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
  const script = join(folder, "keys.lua");
  writeFileSync(script, wrkScript());
  const load = async ({ url, pids, host }: Contender, seconds: number): Promise<Sample> => {
    const command = ["wrk", "-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "--latency", "-s", script];
    if (host !== undefined) command.push("-H", `Host: ${host}`);
    const [program, ...args] = [...command, url];
    const before = cpuMicroseconds(pids);
    const { stdout } = await exec(program as string, args);
    const cpu = cpuMicroseconds(pids) - before;
    if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`requests to ${url} failed:\n${stdout}`);
    const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
    return {
      requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
      cpuMicroseconds: cpu / requests,
      p50: latency(stdout, 50),
      p99: latency(stdout, 99),
    };
  };
  return { name: "wrk", load, close: () => rmSync(folder, { recursive: true, force: true }) };
}

function wrkScript(): string {
  const keys = keysOf(36).map((key) => JSON.stringify(key));
  return `local keys = {${keys.join(",")}}
local requests = {}
local at = 0
function init(args)
  for i, key in ipairs(keys) do
    wrk.headers["Cloudflare-Workers-Version-Key"] = key
    requests[i] = wrk.format("GET")
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
`;
}

function latency(stdout: string, percentile: number): number {
  const [, value, unit] = new RegExp(`^\\s+${percentile}%\\s+([\\d.]+)(us|ms|s)`, "m").exec(stdout) ?? [];
  const milliseconds = { us: 0.001, ms: 1, s: 1000 }[unit ?? ""];
  if (milliseconds === undefined) throw new Error(`wrk printed no latency:\n${stdout}`);
  return Number(value) * milliseconds;
}

async function loadAutocannon({ url, pids, host }: Contender, seconds: number): Promise<Sample> {
  const before = cpuMicroseconds(pids);
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: seconds,
    requests: keysOf(36).map((key) => ({
      headers: { "Cloudflare-Workers-Version-Key": key, ...(host === undefined ? {} : { Host: host }) },
    })),
  });
  const cpu = cpuMicroseconds(pids) - before;
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`requests to ${url} failed`);
  return {
    requestsPerSecond: result.requests.total / result.duration,
    cpuMicroseconds: cpu / result.requests.total,
    p50: result.latency.p50,
    p99: result.latency.p99,
  };
}

/** Puts the servers on the first core, and a spinner with the lowest priority on the last one, where the client runs. */
export function pin(pids: readonly number[]): { client: number; release(): void } | undefined {
  const cores = availableParallelism();
  if (process.platform !== "linux" || cores < 2 || spawnSync("taskset", ["-V"]).error !== undefined)
    return undefined;
  for (const pid of new Set(pids)) spawnSync("taskset", ["-acp", "0", String(pid)]);
  const client = cores - 1;
  const spinner = spawn(
    "chrt",
    ["-i", "0", "taskset", "-c", String(client), process.execPath, "-e", "for (;;);"],
    {
      stdio: "ignore",
    },
  );
  spinner.once("error", () => {});
  return {
    client,
    release() {
      spinner.kill("SIGKILL");
      for (const pid of new Set(pids)) spawnSync("taskset", ["-acp", `0-${cores - 1}`, String(pid)]);
    },
  };
}

/** How long the threads of these processes ran, in µs. /proc/<pid>/task/<tid>/schedstat counts nanoseconds. */
export function cpuMicroseconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of new Set(pids)) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      try {
        nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
      } catch {
        // The thread has ended.
      }
    }
  }
  return nanoseconds / 1000;
}

/** Resident memory of a process, in MiB. */
export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

/** Ids of the workerd processes below a process, by default below this one. */
export function workerdPids(parent = process.pid): number[] {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8")
    .trim()
    .split(" ")
    .map(Number);
  return children.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("workerd");
    } catch {
      return false;
    }
  });
}
