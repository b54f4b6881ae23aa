/** What a rollout records and what routers report about it. */
import type { Author } from "../versions/types.ts";
import type { CpuSums } from "./cpu.ts";
import type { Notice, Rollout, RolloutEvent } from "./types.ts";

/**
 * Which clients a request stands for: the candidate's, those that it is compared with, the rest of the stable version's,
 * or the cohort's, which were not drawn by lot.
 */
export type ObservedArm = "candidate" | "reference" | "beside" | "cohort";

/** How a request failed. */
export type FailureKind =
  /** 5xx, or a status that the plan names. */
  | "status"
  | "exception"
  /** No answer began in time. */
  | "timeout"
  /** The body broke off or stalled. */
  | "body"
  /** The process that ran the version ended. */
  | "lost"
  /** The version could not be loaded, and the other one answered. */
  | "unavailable"
  /** The version said so: `Sluice-Outcome: bad`, or a point in the plan's dataset. */
  | "outcome";

/** The split that decided a request. */
export interface ObservedSplit {
  /**
   * Probability with which a client of the two compared arms is the candidate's: the candidate's share of the hash space
   * over the candidate's and the reference's. 0 or 1 where one of them has none.
   */
  readonly share: number;
  /** Percentage of the candidate. */
  readonly percentage: number;
}

/** Visits that a router counted since its last report: a client counts at most once in `LIMITS.rollouts.visitMs`. */
export interface ObservedVisits extends ObservedSplit {
  readonly arm: ObservedArm;
  readonly visits: number;
}

/** A failed request. */
export interface ObservedFailure extends ObservedSplit {
  /** Of the client's key, with the rollout's id as the seed; null for a request without a key. */
  readonly hash: number | null;
  readonly arm: ObservedArm;
  readonly kind: FailureKind;
}

/** A client that a router has not seen in this rollout before, with its slowest answer in its first `LIMITS.rollouts.visitMs`. */
export interface ObservedClient extends ObservedSplit {
  readonly hash: number | null;
  readonly arm: "candidate" | "reference";
  /** Time until an answer began, in ms; the timeout where none came. */
  readonly ms: number;
}

/** A report. `sender` and `seq` make one that is sent twice count once. */
export interface Observations {
  readonly sender: string;
  /** Increases by 1 with each report of a sender. */
  readonly seq: number;
  readonly visits: readonly ObservedVisits[];
  /** In the order in which they were found. */
  readonly failures: readonly ObservedFailure[];
  readonly clients: readonly ObservedClient[];
  /** Processor time of the candidate's process; absent in the reports of routers. */
  readonly cpu?: CpuSums;
}

/** A transition of a rollout, with everything needed to replay it. Time in ms since the epoch. */
export interface TrailEntry {
  readonly time: number;
  readonly who: Author;
  readonly event: RolloutEvent;
  readonly before: Rollout;
  readonly after: Rollout;
  readonly deployment_id: string | null;
}

/** The evidence at one look. Time in ms since the epoch. */
export interface LookPoint {
  readonly time: number;
  /** E-values. */
  readonly errors: number;
  readonly latency: number;
}

/** The result of an event. */
export interface RolloutPatch {
  readonly rollout: Rollout;
  readonly deployed: boolean;
  readonly notice: Notice | null;
}
