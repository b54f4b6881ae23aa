/**
 * `npm run gates`: prints the tables of docs/gates.md. With `--quick`, a tenth of the runs. `--table nulls`, `steady` or
 * `harms` prints one table, and `--only <text>` the rows whose name has the text. Seeded: prints the same figures each time.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import type { Reference } from "../src/rollout/types.ts";
import { type Harm, HARMS, STEADY } from "./gates/harms.ts";
import { NULLS } from "./gates/nulls.ts";
import type { Ending, Task } from "./gates/run.ts";
import { clopperPearson, median, waldLimit } from "./gates/statistics.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    table: { type: "string", default: "" },
    only: { type: "string", default: "" },
  },
});
const PART = values.quick ? 0.1 : 1;
const RUNS = { nulls: 500 * PART, steady: 100 * PART, harms: 50 * PART } as const;
/** Runs of one task: small enough for an even load. */
const CHUNK = 25;
const ALPHA = 0.01;

/** Threads, each with one task at a time. */
class Pool {
  readonly #threads: readonly Worker[];
  readonly #idle: Worker[];
  readonly #tasks: { readonly task: Task; readonly done: (endings: Ending[]) => void }[] = [];

  constructor(size: number) {
    this.#threads = Array.from(
      { length: size },
      () => new Worker(new URL("gates/worker.ts", import.meta.url)),
    );
    this.#idle = [...this.#threads];
  }

  run(task: Task): Promise<Ending[]> {
    return new Promise((done) => {
      this.#tasks.push({ task, done });
      this.#next();
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }

  #next(): void {
    const thread = this.#idle.pop();
    if (thread === undefined) return;
    const next = this.#tasks.shift();
    if (next === undefined) {
      this.#idle.push(thread);
      return;
    }
    thread.once("message", (endings: Ending[]) => {
      this.#idle.push(thread);
      next.done(endings);
      this.#next();
    });
    thread.postMessage(next.task);
  }
}

const pool = new Pool(availableParallelism());

async function endings(table: Task["table"], row: number, reference: Reference): Promise<Ending[]> {
  const runs = RUNS[table];
  const starts = Array.from({ length: Math.ceil(runs / CHUNK) }, (_, i) => i * CHUNK);
  const parts = await Promise.all(
    starts.map((from) => pool.run({ table, row, reference, from, to: Math.min(from + CHUNK, runs) })),
  );
  return parts.flat();
}

const percent = (part: number, digits = 1) => `${(100 * part).toFixed(digits)}%`;

function rollbacks(found: readonly Ending[]): string {
  const count = found.filter(({ phase }) => phase === "rolled_back").length;
  const [low, high] = clopperPearson(count, found.length);
  return `${percent(count / found.length)} (${percent(low)} to ${percent(high)})`;
}

const mean = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

async function nullRow(row: number): Promise<string> {
  const { name, stable } = NULLS[row] as (typeof NULLS)[number];
  const baseline = await endings("nulls", row, "baseline");
  const whole = await endings("nulls", row, "stable");
  const promoted = baseline.filter(({ phase }) => phase === "promoted").length / baseline.length;
  const failures = mean(baseline.map((ending) => ending.failures));
  return `| ${name} | ${rollbacks(baseline)} | ${rollbacks(whole)}${stable ? "" : " ¹"} | ${percent(promoted, 0)} | ${failures.toFixed(0)} |`;
}

const REFERENCES = ["baseline", "stable"] as const;

/** Time from the start of the harm to the rollback in seconds, and clients harmed until then. */
function detection(harm: Harm, found: readonly Ending[]): string {
  const hits = found.filter(({ phase, seconds }) => phase === "rolled_back" && seconds > harm.onset);
  const early = found.filter(({ phase, seconds }) => phase === "rolled_back" && seconds <= harm.onset).length;
  const times = hits.map(({ seconds }) => seconds - harm.onset);
  const share = percent(hits.length / (found.length - early), 0);
  return hits.length === 0
    ? share
    : `${share}, ${median(times)} s (${Math.max(...times)} s), ${median(hits.map(({ harmed }) => harmed))}`;
}

async function steadyRow(row: number): Promise<string> {
  const harm = STEADY[row] as Harm;
  const cells: string[] = [];
  for (const reference of REFERENCES) {
    const found = (await endings("steady", row, reference)).filter(({ phase }) => phase === "rolled_back");
    const share = found.length / RUNS.steady;
    const wald = waldLimit(harm, reference, ALPHA);
    const seconds = mean(found.map((ending) => ending.seconds));
    const failures = mean(found.map((ending) => ending.failures));
    cells.push(
      `${percent(share, 0)}, ${seconds.toFixed(0)} s (${wald.seconds.toFixed(0)} s)`,
      `${failures.toFixed(1)} (${wald.failures.toFixed(1)}): ${(failures / wald.failures).toFixed(2)}×`,
    );
  }
  return `| ${harm.name} | ${cells.join(" | ")} |`;
}

async function harmRow(row: number): Promise<string> {
  const harm = HARMS[row] as Harm;
  const cells = [];
  for (const reference of REFERENCES) cells.push(detection(harm, await endings("harms", row, reference)));
  return `| ${harm.name} | ${harm.percentage}% | ${cells.join(" | ")} |`;
}

async function print(
  table: Task["table"],
  head: string,
  rows: readonly { readonly name: string }[],
  rowOf: (row: number) => Promise<string>,
): Promise<void> {
  if (!table.startsWith(values.table)) return;
  const chosen = rows.flatMap(({ name }, i) => (name.includes(values.only) ? [i] : []));
  if (chosen.length === 0) return;
  console.log(`\n${head}\n|${" --- |".repeat(head.split("|").length - 2)}`);
  // All at once: the pool does not wait for the last run of a row.
  for (const row of chosen.map(rowOf)) console.log(await row);
}

await print(
  "nulls",
  `| False rollbacks of ${RUNS.nulls} rollouts | with a baseline | against all stable clients | promoted | first failures |`,
  NULLS,
  nullRow,
);
await print(
  "steady",
  `| Found in ${RUNS.steady} rollouts | with a baseline: time (Wald) | first failures (Wald) | against all stable clients: time (Wald) | first failures (Wald) |`,
  STEADY,
  steadyRow,
);
await print(
  "harms",
  `| Found in ${RUNS.harms} rollouts | share | with a baseline: time (longest), clients harmed | against all stable clients |`,
  HARMS,
  harmRow,
);
await pool.close();
