/**
 * Simulates a rollout of a plan without a server, with traffic from a model or from a log, using the code that runs real
 * rollouts. Pure: time and randomness are passed in. It covers failures only, since a model has no latency.
 */
import { hashKey, prepareSeed } from "../router/hash.ts";
import { thresholdOf } from "../router/split.ts";
import { type Interval, NOTHING } from "./gate.ts";
import { intervals, type Random } from "./simulate.ts";
import { NEW_EVIDENCE, stageOf, step } from "./step.ts";
import { type Plan, type Rollout, type RolloutEvent, TERMINAL } from "./types.ts";

/** The clients of one second. @param share of the candidate in (0, 1) */
export type Source = (second: number, share: number) => Interval;

/** How a simulated rollout ended. */
export interface Outcome {
  /** A terminal phase, or the phase at the time limit. */
  readonly phase: Rollout["phase"];
  readonly reason: string;
  /** From the start to the end of the simulation. */
  readonly seconds: number;
  /** Clients of the candidate, and how many of them failed. */
  readonly exposures: number;
  readonly failures: number;
}

const NOBODY = { id: "simulation", email: "simulation" };

/** @param limit in seconds of simulated time */
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

/** @param clientsPerSecond distinct clients @param stable probability of a failure @param candidate the same */
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

/** A request in a log. Time in seconds since the first request. */
export interface LogEntry {
  readonly key: string;
  readonly failed: boolean;
  readonly time: number;
}

/**
 * Replays a log, each client with its first answer, and splits the clients as a rollout of the version would. The
 * candidate fails where the log's request failed, and for some more clients.
 *
 * @param version id of the simulated candidate
 * @param extra probability that a client fails on the candidate although its request in the log did not
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
