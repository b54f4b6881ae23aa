/** What a simulated rollout is made of, what it starts from, and how its stages split the clients. Pure. */
import { compileSplit, type Split } from "../router/split.ts";
import { baselinePercentage } from "./baseline.ts";
import { NEW_EVIDENCE } from "./learning.ts";
import type { Client, Traffic, Version } from "./simulate.ts";
import type { Plan, Rollout, RolloutEvent } from "./types.ts";

/** A rollout and everything around it. */
export interface World {
  readonly plan: Plan;
  readonly traffic: Traffic;
  readonly candidate: Version;
  readonly stable: Version;
  /** Thresholds of the latency gate in ms; null to take them from the traffic. */
  readonly slow_ms: readonly number[] | null;
  /** Seconds after which the simulation ends. */
  readonly limit: number;
  /** One for each process of routers: seconds by which it learns of splits, and its reports arrive, too late. */
  readonly lags: readonly number[];
  /** Mean seconds between two ends of a process with the candidate, for which no version is to blame; 0 for none. */
  readonly crashes: number;
  /** When the registry starts again, without what it had not written down, and gets each process's last report again. */
  readonly restarts: readonly number[];
  /** What the clock is set forward by at a time, in seconds. */
  readonly clock: (time: number) => number;
  readonly isCohort: (client: Client) => boolean;
  /** What an operator does at a time, at most once a second. */
  readonly operator: (rollout: Rollout, time: number) => RolloutEvent | undefined;
}

/** One process, reports without delay, nothing that goes wrong, and an operator who approves at once. */
export const CALM: Omit<World, "plan" | "traffic" | "candidate" | "stable" | "limit"> = {
  slow_ms: null,
  lags: [0],
  crashes: 0,
  restarts: [],
  clock: () => 0,
  isCohort: () => false,
  operator: ({ phase }) => (phase === "awaiting_approval" ? { type: "approve" } : undefined),
};

/** How a simulated rollout ended. */
export interface Outcome {
  /** At its end, or at the time limit. */
  readonly rollout: Rollout;
  readonly seconds: number;
}

/** Start of every simulated rollout, in ms since the epoch. */
export const EPOCH = 1_700_000_000_000;
const CANDIDATE = { version_id: "candidate", number: 2 };
export const STABLE = { version_id: "stable", number: 1 };
const NOBODY = { id: "simulation", email: "simulation" };

/** The split of a stage, as routers compile it. @param percentage of the candidate */
export function splitOf({ gates, cohort }: Plan, percentage: number): Split {
  const baseline = baselinePercentage(gates, percentage);
  return compileSplit({
    schema: 1,
    worker: "simulation",
    revision: 1,
    deployment_id: "simulation",
    enabled: true,
    versions: [
      { ...CANDIDATE, percentage },
      { ...STABLE, percentage: 100 - percentage },
    ],
    rollout: {
      id: "simulation",
      candidate: CANDIDATE.version_id,
      ...(baseline === 0 ? {} : { baseline }),
      ...(cohort === null ? {} : { cohort }),
    },
  });
}

/** @param slow_ms thresholds of the latency gate in ms; null to take them from the first clients */
export function newRollout(plan: Plan, slow_ms: readonly number[] | null): Rollout {
  return {
    id: "simulation",
    candidate: CANDIDATE,
    stable: STABLE,
    plan,
    phase: "pending",
    reason: "",
    waiting: "time",
    failed: null,
    stage: 0,
    stage_since: EPOCH,
    elapsed: 0,
    soaked: 0,
    clock: EPOCH,
    created: EPOCH,
    ended: null,
    settled_ms: null,
    author: NOBODY,
    peer: null,
    salt: null,
    evidence: { ...NEW_EVIDENCE, slow_ms },
  };
}
