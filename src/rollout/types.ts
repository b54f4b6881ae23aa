/** A rollout: its plan, its state, its events and its transitions. */
import type { Author, Phase } from "../versions/types.ts";
import type { Interval, MetricState, ShareState } from "./gate.ts";

/** One step of a plan. */
export interface Stage {
  /** Percentage of the candidate, more than 0 and at most 100. At 100 the candidate is promoted. */
  readonly percentage: number;
  /** Minimum time in the stage, in seconds. */
  readonly soak_seconds: number;
  /** New clients of the candidate that the stage needs, unless the gate is certain earlier. */
  readonly min_exposures: number;
  /** Whether an operator must approve the next stage. */
  readonly approval: "auto" | "manual";
}

/** When a rollout rolls itself back. */
export interface Gates {
  /** Probability of a false rollback over the whole rollout and all metrics. */
  readonly alpha: number;
  /** Allowed ratio of the candidate's failure rate to the stable version's. */
  readonly margin: number;
  /** Whether a second metric counts answers slower than the stable version's earlier 95th percentile as failures. */
  readonly latency: boolean;
}

/** Fixed when the rollout starts. */
export interface Plan {
  readonly stages: readonly Stage[];
  readonly gates: Gates;
  /** After a failed gate: go back to the stable version, or keep the split and wait for an operator. */
  readonly on_fail: "rollback" | "hold";
}

export const TERMINAL: ReadonlySet<Phase> = new Set(["promoted", "rolled_back", "aborted"]);

/** What the gate watches: failed answers (5xx and exceptions) and slow answers. */
export const METRICS = ["errors", "latency"] as const;
export type Metric = (typeof METRICS)[number];

/** What decisions need to know about a candidate. */
export interface Evidence {
  readonly metrics: Readonly<Record<Metric, MetricState>>;
  readonly share: ShareState;
  /** Counts of the whole rollout and of the stage. Latency is counted only once `slow_ms` is known. */
  readonly total: Readonly<Record<Metric, Interval>>;
  readonly stage: Readonly<Record<Metric, Interval>>;
  /** An answer above this many ms is slow; null until the stable version has given enough answers. */
  readonly slow_ms: number | null;
}

/** One of the two versions in a rollout. */
export interface Side {
  readonly version_id: string;
  readonly number: number;
}

/** The state of a rollout. Times in ms since the epoch. */
export interface Rollout {
  readonly id: string;
  readonly candidate: Side;
  readonly stable: Side;
  readonly plan: Plan;
  readonly phase: Phase;
  /** Why it is in this phase. Shown to operators. */
  readonly reason: string;
  /** Index of the stage. */
  readonly stage: number;
  /** When it entered the stage. Later by the time in which it was paused there. */
  readonly stage_since: number;
  /** When the pause began; null before and after one, absent in rollouts of release 0.1. */
  readonly paused_since?: number | null;
  readonly created: number;
  readonly ended: number | null;
  /** Time in ms from the decision that ended it until no request went to the losing version; null before that. */
  readonly settled_ms: number | null;
  readonly author: Author;
  readonly evidence: Evidence;
}

/** What can happen to a rollout. */
export type RolloutEvent =
  | { readonly type: "start" }
  /** The gate judges the clients since the last look. */
  | {
      readonly type: "look";
      readonly interval: Readonly<Record<Metric, Interval>>;
      /** Index of the stage in which they were counted. */
      readonly stage: number;
      /** The clients that were split by that stage: evidence for or against its split. */
      readonly shared: Interval;
      readonly slow_ms: number | null;
    }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  /** An operator takes responsibility for the next stage. */
  | { readonly type: "approve" }
  | { readonly type: "promote" }
  | { readonly type: "abort" }
  /** The candidate ended the process that ran it. @see registry/quarantine.ts */
  | { readonly type: "harmed"; readonly why: string }
  /** An operator deployed something else. That deployment stays, and the rollout ends. */
  | { readonly type: "taken_over"; readonly by: string };

export type RolloutCommand = Extract<
  RolloutEvent["type"],
  "pause" | "resume" | "approve" | "promote" | "abort"
>;

/** Percentage of the candidate to deploy with a transition; null for no deployment. */
type Intent = number | null;

/** What operators are notified about. */
export type Notice = "stage" | "hold" | "approval" | "rollback" | "finish";

/** The result of an event. */
export interface Transition {
  readonly rollout: Rollout;
  readonly deploy: Intent;
  readonly notice: Notice | null;
}
