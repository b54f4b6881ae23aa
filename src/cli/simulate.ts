/** `sluice simulate`: predicts how a plan's rollouts would end. */
import { readFileSync } from "node:fs";
import { CALM, type Outcome, type World } from "../rollout/model.ts";
import { makePlan, type TemplateName } from "../rollout/plan.ts";
import { rehearse } from "../rollout/rehearsal.ts";
import {
  type LoggedRequest,
  lognormal,
  type Random,
  seeded,
  type Version,
  VISITORS,
} from "../rollout/simulate.ts";
import type { Plan, Reference } from "../rollout/types.ts";
import { rehearseVisitors } from "../rollout/visitors.ts";
import { UsageError } from "./data.ts";
import { readStages } from "./rollout.ts";

export interface SimulateOptions {
  readonly stages?: string;
  readonly template?: TemplateName;
  readonly alpha?: number;
  readonly reference?: Reference;
  /** Distinct clients per second. */
  readonly clients: number;
  /** Mean requests of a client, and mean pause between two of them in seconds. */
  readonly requests: number;
  readonly pause: number;
  /** Percentages of requests that fail, 0 to 100. */
  readonly stable: number;
  readonly candidate?: number;
  /** Median times of answers in ms; without one, answers are never slow. */
  readonly latency?: number;
  readonly candidateLatency?: number;
  /** Path of a file of JSON lines with key, status and, optionally, time. */
  readonly log?: string;
  readonly aa?: boolean;
  readonly runs: number;
  readonly hours: number;
  readonly seed: number;
}

/** How often rollouts ended in one way, and when. Null where none did. */
interface Ended {
  readonly probability: number;
  readonly median_seconds: number | null;
  /** Nine of ten took no longer. */
  readonly p90_seconds: number | null;
}

interface Simulation {
  readonly runs: number;
  readonly seed: number;
  /** Number of rollouts that ended in each phase. */
  readonly phases: Readonly<Record<string, number>>;
  /** `median_failures`: clients who had a failure on the candidate until then. */
  readonly rolled_back: Ended & { readonly median_failures: number | null };
  readonly promoted: Ended;
  /** Probability that the plan promotes a version with twice the failures of the stable version. */
  readonly promoted_at_twice_the_failures: number;
}

/** Standard deviation of the logarithm of the times of answers: one of a hundred takes ten times the median. */
const SPREAD = 1;
/** Thresholds of the latency gate in ms where answers are never slow. */
const NEVER_SLOW = [1_000];
/** Answers of the stable version before the rollout, from which the thresholds are taken. */
const ANSWERS = 2_000;

export function simulate(options: SimulateOptions): Simulation {
  const { template, alpha, reference, runs, seed } = options;
  const stages = options.stages === undefined ? undefined : readStages(options.stages);
  const plan = makePlan({ stages, template, gates: { alpha, reference } });
  if (!plan.ok) throw new UsageError(`The plan ${plan.error}.`);
  const { stable, candidate = stable, aa } = options;
  const log = options.log === undefined ? [] : readLog(options.log, options.clients);
  const run = (failing: number) => {
    const once = rehearsalOf(plan.value, options, log, failing);
    return Array.from({ length: runs }, (_, i) => once(seeded(seed + i)));
  };
  const outcomes = run(aa ? stable : candidate);
  const logged = log.filter(({ failed }) => failed).length / Math.max(log.length, 1);
  const worse = run(stable + (log.length === 0 ? stable : 100 * logged));
  const phases: Record<string, number> = {};
  for (const { rollout } of outcomes) phases[rollout.phase] = (phases[rollout.phase] ?? 0) + 1;
  const failures = phaseOf(outcomes, "rolled_back").map(
    ({ rollout }) => rollout.evidence.total.candidate.failures,
  );
  return {
    runs,
    seed,
    phases,
    rolled_back: { ...ended(outcomes, "rolled_back"), median_failures: quantile(failures, 0.5) },
    promoted: ended(outcomes, "promoted"),
    promoted_at_twice_the_failures: ended(worse, "promoted").probability,
  };
}

function phaseOf(outcomes: readonly Outcome[], phase: string): Outcome[] {
  return outcomes.filter(({ rollout }) => rollout.phase === phase);
}

function ended(outcomes: readonly Outcome[], phase: string): Ended {
  const found = phaseOf(outcomes, phase).map(({ seconds }) => seconds);
  return {
    probability: found.length / outcomes.length,
    median_seconds: quantile(found, 0.5),
    p90_seconds: quantile(found, 0.9),
  };
}

/** @param failing percentage of requests that fail on the candidate */
function rehearsalOf(
  plan: Plan,
  options: SimulateOptions,
  log: readonly LoggedRequest[],
  failing: number,
): (random: Random) => Outcome {
  const { clients, requests, pause, stable, latency, candidateLatency = latency, hours } = options;
  const limit = hours * 3_600;
  const rates = { stable: stable / 100, candidate: failing / 100 };
  if (log.length === 0 && requests <= 1 && latency === undefined && candidateLatency === undefined) {
    return (random) => rehearseVisitors(plan, { perSecond: clients, ...rates }, limit, random);
  }
  const isTimed = latency !== undefined || candidateLatency !== undefined;
  const world: World = {
    ...CALM,
    plan,
    limit,
    slow_ms: isTimed ? null : NEVER_SLOW,
    traffic: {
      ...VISITORS,
      arrivals: () => (log.length === 0 ? clients : 0),
      requests,
      pause: () => pause,
      before: isTimed ? Math.ceil(requests * pause + ANSWERS / clients) : 0,
      log,
    },
    stable: versionOf(log.length === 0 ? rates.stable : 0, latency),
    // With a log, the candidate fails for some more clients.
    candidate: versionOf(
      log.length === 0 ? rates.candidate : Math.max(rates.candidate - rates.stable, 0),
      candidateLatency,
    ),
  };
  return (random) => rehearse(world, random);
}

function versionOf(rate: number, median = 1): Version {
  return ({ random, failed }) => ({
    ms: median === 1 ? 1 : lognormal(median, SPREAD, random),
    failure: failed || random() < rate ? "status" : null,
  });
}

/** @param rate requests per second, for lines without a time */
function readLog(file: string, rate: number): LoggedRequest[] {
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

function quantile(values: readonly number[], part: number): number | null {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)] ?? null;
}

const PHASES = ["promoted", "rolled_back", "holding", "running"] as const;

export function showSimulation(simulation: Simulation, aa: boolean): string {
  const { runs, seed, phases, rolled_back, promoted, promoted_at_twice_the_failures: twice } = simulation;
  const percent = (part: number) => `${(100 * part).toFixed(1)}%`;
  const lines = PHASES.map((phase) => {
    const count = phases[phase] ?? 0;
    return `  ${phase.padEnd(12)} ${String(count).padStart(6)}  ${percent(count / runs)}`;
  });
  const time = ({ median_seconds, p90_seconds }: Ended) =>
    median_seconds === null ? "–" : `${median_seconds} s, 90% within ${p90_seconds} s`;
  const failures = rolled_back.median_failures ?? "–";
  return [
    `${runs} simulated rollouts with seed ${seed} ended in:`,
    ...lines,
    `Median time to rollback      ${time(rolled_back)} (${failures} clients of the candidate had failed)`,
    `Median time to promotion     ${time(promoted)}`,
    ...(aa
      ? [`False rollbacks              ${percent(rolled_back.probability)}, as both versions were the same`]
      : []),
    `Twice the failures           a version that fails twice as often is promoted in ${percent(twice)}`,
  ].join("\n");
}
