/**
 * A plan without a server: what a rollout would come to with traffic from a model or from a log, by the code that runs the real
 * one. Pure: time and randomness are passed in. Failures only: a model has no latency.
 */
import { hashKey, prepareSeed } from "../router/hash.ts";
import { thresholdOf } from "../router/split.ts";
import { type Interval, NOTHING } from "./gate.ts";
import { intervals, type Random } from "./simulate.ts";
import { NEW_EVIDENCE, stageOf, step } from "./step.ts";
import { type Plan, type Rollout, type RolloutEvent, TERMINAL } from "./types.ts";

/** What comes in during a second of a stage. @param share of the candidate in (0, 1) */
export type Source = (second: number, share: number) => Interval;

/** How a rehearsal ended. */
export interface Outcome {
  /** A phase that ends a rollout, or the one that it was in when the time was over. */
  readonly phase: Rollout["phase"];
  readonly reason: string;
  /** From the start to that. */
  readonly seconds: number;
  /** Clients that had the candidate, and those of them that failed. */
  readonly exposures: number;
  readonly failures: number;
}

const NOBODY = { id: "simulation", email: "simulation" };

/** @param limit seconds after which it is broken off */
export function rehearse(plan: Plan, source: Source, limit: number): Outcome {
  let rollout: Rollout = {
    id: "simulation",
    candidate: { version_id: "candidate", number: 2 },
    stable: { version_id: "stable", number: 1 },
    plan: { ...plan, gates: { ...plan.gates, latency: false } },
    phase: "pending",
    reason: "",
    stage: 0,
    stage_since: 0,
    created: 0,
    ended: null,
    settled_ms: null,
    author: NOBODY,
    evidence: NEW_EVIDENCE,
  };
  const happen = (event: RolloutEvent, second: number) => {
    const outcome = step(rollout, event, second * 1000);
    if (outcome.ok) rollout = outcome.value.rollout;
  };
  happen({ type: "start" }, 0);
  let second = 0;
  while (!TERMINAL.has(rollout.phase) && second < limit) {
    const interval = source(second, stageOf(rollout).percentage / 100);
    second++;
    happen(
      {
        type: "look",
        interval: { errors: interval, latency: NOTHING },
        stage: rollout.stage,
        shared: interval,
        slow_ms: null,
      },
      second,
    );
    if (rollout.phase === "awaiting_approval") happen({ type: "approve" }, second);
  }
  const { candidate } = rollout.evidence.total.errors;
  return { phase: rollout.phase, reason: rollout.reason, seconds: second, ...candidate };
}

/** @param clientsPerSecond distinct ones @param stable @param candidate probabilities of a failure */
export function modelSource(
  clientsPerSecond: number,
  stable: number,
  candidate: number,
  random: Random,
): Source {
  return (_, share) => {
    const [interval = NOTHING] = intervals(
      { clientsPerSecond, seconds: 1, stable: () => stable, candidate: () => candidate, share: () => share },
      random,
    );
    return interval;
  };
}

/** A request of a log. Time in seconds since the log's first one. */
export interface LogEntry {
  readonly key: string;
  readonly failed: boolean;
  readonly time: number;
}

/**
 * The log once more, each client with its first answer, split as a rollout of a version with the id would split it. The
 * candidate fails as the stable version did, and for some clients more.
 *
 * @param extra probability that a client of the candidate fails in addition
 */
export function logSource(
  entries: readonly LogEntry[],
  version: string,
  extra: number,
  random: Random,
): Source {
  const seed = prepareSeed(version);
  const seen = new Set<string>();
  let at = 0;
  return (second, share) => {
    const arms = { candidate: { exposures: 0, failures: 0 }, stable: { exposures: 0, failures: 0 } };
    for (; at < entries.length && (entries[at] as LogEntry).time < second + 1; at++) {
      const { key, failed } = entries[at] as LogEntry;
      if (seen.has(key)) continue;
      seen.add(key);
      const isCandidate = hashKey(seed, key) < thresholdOf(share * 100);
      const arm = arms[isCandidate ? "candidate" : "stable"];
      arm.exposures++;
      if (failed || (isCandidate && random() < extra)) arm.failures++;
    }
    return arms;
  };
}
