/** `sluice simulate`: predicts how a plan's rollouts would end. */
import { readFileSync } from "node:fs";
import { makePlan, type TemplateName } from "../rollout/plan.ts";
import {
  type LogEntry,
  logSource,
  modelSource,
  type Outcome,
  rehearse,
  type Source,
} from "../rollout/rehearsal.ts";
import { type Random, seeded } from "../rollout/simulate.ts";
import { UsageError } from "./data.ts";
import { readStages } from "./rollout.ts";

export interface SimulateOptions {
  readonly stages?: string;
  readonly template?: TemplateName;
  readonly alpha?: number;
  /** Distinct clients per second. */
  readonly clients: number;
  /** Percentages of clients that fail, 0 to 100. */
  readonly stable: number;
  readonly candidate?: number;
  /** Path of a file of JSON lines with key, status and, optionally, time. */
  readonly log?: string;
  readonly aa?: boolean;
  readonly runs: number;
  readonly hours: number;
  readonly seed: number;
}

interface Simulation {
  readonly runs: number;
  readonly seed: number;
  /** Number of rollouts that ended in each phase. */
  readonly phases: Readonly<Record<string, number>>;
  /** Of the rollouts that were rolled back: seconds until then, and clients of the candidate that failed until then. */
  readonly rolled_back: { readonly median_seconds: number | null; readonly median_failures: number | null };
  readonly promoted: { readonly median_seconds: number | null };
}

export function simulate(options: SimulateOptions): Simulation {
  const { template, alpha, runs, hours, seed } = options;
  const plan = makePlan({
    stages: options.stages === undefined ? undefined : readStages(options.stages),
    template,
    gates: { alpha },
  });
  if (!plan.ok) throw new UsageError(`The plan ${plan.error}.`);
  const sourceOf = sourcesOf(options);
  const outcomes = Array.from({ length: runs }, (_, run) => {
    const random = seeded(seed + run);
    return rehearse(plan.value, sourceOf(random), hours * 3_600);
  });
  const phases: Record<string, number> = {};
  for (const { phase } of outcomes) phases[phase] = (phases[phase] ?? 0) + 1;
  const ended = (phase: Outcome["phase"]) => outcomes.filter((outcome) => outcome.phase === phase);
  return {
    runs,
    seed,
    phases,
    rolled_back: {
      median_seconds: median(ended("rolled_back").map(({ seconds }) => seconds)),
      median_failures: median(ended("rolled_back").map(({ failures }) => failures)),
    },
    promoted: { median_seconds: median(ended("promoted").map(({ seconds }) => seconds)) },
  };
}

function sourcesOf({
  log,
  clients,
  stable,
  candidate = stable,
  aa,
}: SimulateOptions): (random: Random) => Source {
  const failing = aa ? stable : candidate;
  if (log === undefined) {
    return (random) => modelSource(clients, stable / 100, failing / 100, random);
  }
  const entries = readLog(log, clients);
  const extra = aa ? 0 : Math.max(failing - stable, 0) / 100;
  return (random) => logSource(entries, `simulated ${random()}`, extra, random);
}

/** @param rate requests per second, for lines without a time */
function readLog(file: string, rate: number): LogEntry[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`Cannot read the log: ${(error as Error).message}.`);
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const parsed = lines.map((line, i) => {
    const wrong = () =>
      new UsageError(`Line ${i + 1} of ${file} is not a JSON object with a key and a status.`);
    let entry: { key?: unknown; status?: unknown; time?: unknown };
    try {
      entry = JSON.parse(line);
    } catch {
      throw wrong();
    }
    const { key, status, time } = entry ?? {};
    if (typeof key !== "string" || typeof status !== "number") throw wrong();
    const at =
      typeof time === "number" ? time : typeof time === "string" ? Date.parse(time) / 1000 : i / rate;
    if (!Number.isFinite(at)) throw wrong();
    return { key, failed: status >= 500, time: at };
  });
  const sorted = parsed.sort((x, y) => x.time - y.time);
  const start = sorted[0]?.time ?? 0;
  return sorted.map((entry) => ({ ...entry, time: entry.time - start }));
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

const PHASES = ["promoted", "rolled_back", "holding", "running"] as const;

export function showSimulation(
  { runs, seed, phases, rolled_back, promoted }: Simulation,
  aa: boolean,
): string {
  const percent = (count: number) => `${((100 * count) / runs).toFixed(1)}%`;
  const lines = PHASES.map(
    (phase) =>
      `  ${phase.padEnd(12)} ${String(phases[phase] ?? 0).padStart(6)}  ${percent(phases[phase] ?? 0)}`,
  );
  const time = (seconds: number | null) => (seconds === null ? "–" : `${seconds} s`);
  return [
    `${runs} simulated rollouts with seed ${seed} ended in:`,
    ...lines,
    `Median time to rollback      ${time(rolled_back.median_seconds)} (${rolled_back.median_failures ?? "–"} clients of the candidate had failed)`,
    `Median time to promotion     ${time(promoted.median_seconds)}`,
    ...(aa
      ? [`False rollbacks              ${percent(phases.rolled_back ?? 0)}, as both versions were the same`]
      : []),
  ].join("\n");
}
