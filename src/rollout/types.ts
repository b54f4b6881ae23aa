import type { Author, Phase } from "../versions/types.ts";
import type { Interval, MetricState, ShareState } from "./gate.ts";

/** One step of a plan. */
export interface Stage {
  /** Share of the candidate, above 0 and up to 100. At 100 the candidate is promoted. */
  readonly percentage: number;
  /** Least time in the stage, in seconds. */
  readonly soak_seconds: number;
  /** New clients of the candidate without which the stage is not over, unless the gate is sure before. */
  readonly min_exposures: number;
  /** Whether somebody has to say that it goes on. */
  readonly approval: "auto" | "manual";
}

/** When a rollout takes itself back. */
export interface Gates {
  /** Probability of a false rollback in the whole rollout, all metrics together. */
  readonly alpha: number;
  /** How many times the stable version's failures are allowed. */
  readonly margin: number;
  /** Whether answers that are slower than the stable version's own past 95th percentile count as failures of a second metric. */
  readonly latency: boolean;
}

/** Copied when the rollout starts; never changes under it. */
export interface Plan {
  readonly stages: readonly Stage[];
  readonly gates: Gates;
  /** What a failed gate does: back to the stable version, or leave the traffic and wait for somebody. */
  readonly on_fail: "rollback" | "hold";
}

export const TERMINAL: ReadonlySet<Phase> = new Set(["promoted", "rolled_back", "aborted"]);

/** What a gate watches: failed answers (5xx and exceptions), and slow ones. */
export const METRICS = ["errors", "latency"] as const;
export type Metric = (typeof METRICS)[number];

/** What is known of a candidate, as far as decisions need it. */
export interface Evidence {
  readonly metrics: Readonly<Record<Metric, MetricState>>;
  readonly share: ShareState;
  /** Of the whole rollout and of the stage, by metric: both have the same exposures once latency is measured. */
  readonly total: Readonly<Record<Metric, Interval>>;
  readonly stage: Readonly<Record<Metric, Interval>>;
  /** Above this many ms an answer is slow; null until enough answers of the stable version were seen. */
  readonly slow_ms: number | null;
}

/** One version's part in a rollout. */
export interface Side {
  readonly version_id: string;
  readonly number: number;
}

/** A rollout as it stands. Times in ms since the epoch. */
export interface Rollout {
  readonly id: string;
  readonly candidate: Side;
  readonly stable: Side;
  readonly plan: Plan;
  readonly phase: Phase;
  /** Why it is in the phase, in a sentence's words. */
  readonly reason: string;
  /** Index of the stage. */
  readonly stage: number;
  readonly stage_since: number;
  readonly created: number;
  readonly ended: number | null;
  /** From the decision that ended it to the moment from which no request goes to the side that lost, in ms; null until then. */
  readonly settled_ms: number | null;
  readonly author: Author;
  readonly evidence: Evidence;
}

/** What happens to a rollout. */
export type RolloutEvent =
  | { readonly type: "start" }
  /** What came in since the last look; the gate is asked. */
  | {
      readonly type: "look";
      readonly interval: Readonly<Record<Metric, Interval>>;
      /** Index of the stage in which that came in. */
      readonly stage: number;
      /** Clients that came since that stage began: whether they are shared out as it says. */
      readonly shared: Interval;
      readonly slow_ms: number | null;
    }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  /** Somebody takes the responsibility for the next stage. */
  | { readonly type: "approve" }
  | { readonly type: "promote" }
  | { readonly type: "abort" }
  /** Another deployment was made: it stands, and the rollout is over. */
  | { readonly type: "taken_over"; readonly by: string };

export type RolloutCommand = Extract<
  RolloutEvent["type"],
  "pause" | "resume" | "approve" | "promote" | "abort"
>;

/** What is to be deployed with a transition; null for no change. The candidate's share. */
type Intent = number | null;

/** What an operator should hear of. */
export type Notice = "stage" | "hold" | "approval" | "rollback" | "finish";

/** What an event comes to. */
export interface Transition {
  readonly rollout: Rollout;
  readonly deploy: Intent;
  readonly notice: Notice | null;
}
