/** A rollout: its plan, its state, its events and its transitions. */
import type { Author, Cohort, FailureRules, Phase } from "../versions/types.ts";
import type { CpuSums } from "./cpu.ts";
import type { Drift } from "./drift.ts";
import type { FreezeWindow } from "./freeze.ts";
import type { Likelihood, ShareState, Stakes, Tally } from "./gate.ts";

/** One step of a plan. */
export interface Stage {
  /** Percentage of the candidate, at most 100. 0 only in the first stage of a plan with a cohort. */
  readonly percentage: number;
  /** Minimum time in the stage, in seconds. Time in which the rollout is paused does not count. */
  readonly soak_seconds: number;
  /** Visits to the candidate that the stage needs: a client counts at most once in `LIMITS.rollouts.visitMs`. */
  readonly min_exposures: number;
  /** Whether an operator must approve the next stage; of the last one, the promotion. */
  readonly approval: "auto" | "manual";
}

/** What the candidate is compared with: its baseline, or all clients of the stable version. */
export type Reference = "baseline" | "stable";

/** When a rollout rolls itself back. */
export interface Gates {
  /** Probability of a false rollback over the whole rollout and all metrics. */
  readonly alpha: number;
  /** Allowed ratio of the candidate's failure rate to the reference's. */
  readonly margin: number;
  /** Whether slow answers count as well. */
  readonly latency: boolean;
  /** Whether a candidate that takes twice the processor time of its baseline is held. */
  readonly cpu: boolean;
  readonly reference: Reference;
  readonly failures: FailureRules;
  /** Rolls back when this many clients had their first failure on the candidate; null for no such cap. */
  readonly max_harmed: number | null;
  /** `evidence`: no stage ends before the interval of the ratio excludes twice as many failures. */
  readonly require: "exposures" | "evidence";
}

/** A request to the candidate before the first stage. */
export interface SmokeRequest {
  readonly path: string;
  readonly method: string;
  /** Status that the candidate must answer with; null for any below 400. */
  readonly status: number | null;
}

/** A version of another Worker that moves with this rollout. */
export interface LinkedVersion {
  readonly worker: string;
  readonly version_id: string;
}

/** Fixed when the rollout starts. */
export interface Plan {
  readonly stages: readonly Stage[];
  readonly gates: Gates;
  /** After a failed gate: go back to the stable version, or keep the split and wait for an operator. */
  readonly on_fail: "rollback" | "hold";
  readonly cohort: Cohort | null;
  readonly smoke: readonly SmokeRequest[];
  /** No stage begins in these windows. */
  readonly freeze: readonly FreezeWindow[];
  readonly linked: LinkedVersion | null;
}

export const TERMINAL: ReadonlySet<Phase> = new Set(["promoted", "rolled_back", "aborted"]);

/** What the gate judges. Its share of α is in gate.ts. */
export const METRICS = ["errors", "latency"] as const;
export type Metric = (typeof METRICS)[number];

/** What was counted of an arm. */
export interface ArmCounts {
  /** Visits: a client counts at most once in `LIMITS.rollouts.visitMs`. */
  readonly exposures: number;
  /** Clients with a first failure. */
  readonly failures: number;
}

/** Counts by arm. `beside` is the stable version's part that the candidate is not compared with. */
export interface Counts {
  readonly candidate: ArmCounts;
  readonly reference: ArmCounts;
  readonly beside: ArmCounts;
  readonly cohort: ArmCounts;
}

/** A first failure that can still be overtaken by an earlier request that has no answer yet. */
export interface Unsettled {
  /** In ms of the rollout's own time: when no earlier request can be unanswered any more. */
  readonly due: number;
  readonly tally: Tally;
}

/** Whether the candidate takes much more processor time than its baseline, and whether an operator has accepted that. */
export type CpuAlarm = "none" | "raised" | "accepted";

/** What decisions need to know about a candidate. */
export interface Evidence {
  readonly errors: Stakes;
  /** One per threshold of `slow_ms`. */
  readonly latency: readonly Stakes[];
  /** Of the ratio of the failures: settled ones only. */
  readonly ratio: Likelihood;
  readonly unsettled: readonly Unsettled[];
  readonly share: ShareState;
  /** Counts of the whole rollout and of the stage. */
  readonly total: Counts;
  readonly stage: Counts;
  /** Clients whose answers were judged by the thresholds, and those beyond each threshold, by arm. */
  readonly slow: {
    readonly candidate: readonly number[];
    readonly reference: readonly number[];
    readonly clients: { readonly candidate: number; readonly reference: number };
  };
  /** Thresholds in ms, ascending; null until they are known. */
  readonly slow_ms: readonly number[] | null;
  /** The stable version against its own past. */
  readonly drift: Drift;
  /** The candidate against its own past: decides at 100%, where there is nothing to compare it with. */
  readonly bake: Drift;
  /** Processor time of requests to the candidate and to its baseline. */
  readonly cpu: CpuSums;
  readonly cpu_alarm: CpuAlarm;
  /** Clients harmed by the candidate that an operator has accepted: the cap of the plan counts from there. */
  readonly accepted: number;
}

/** One of the two versions in a rollout. */
export interface Side {
  readonly version_id: string;
  readonly number: number;
}

/** The other rollout of a linked pair. The leader moves both. */
export interface Peer {
  readonly worker: string;
  readonly rollout_id: string;
  readonly leads: boolean;
}

/** What a rollout that has not ended waits for. */
export type Waiting = "time" | "traffic" | "window" | "operator";

/** The state of a rollout. Times in ms since the epoch, unless they are of the rollout's own time. */
export interface Rollout {
  readonly id: string;
  readonly candidate: Side;
  readonly stable: Side;
  readonly plan: Plan;
  readonly phase: Phase;
  /** Why it is in this phase. Shown to operators. */
  readonly reason: string;
  /** Null where it has ended. */
  readonly waiting: Waiting | null;
  /** Why the gate failed; null where it has not, or where an operator has approved the candidate since. */
  readonly failed: string | null;
  /** Index of the stage. */
  readonly stage: number;
  readonly stage_since: number;
  /** The rollout's own time: ms that have passed since it started. Never goes back, whatever the clock does. */
  readonly elapsed: number;
  /** Time in the stage, pauses aside, in ms. */
  readonly soaked: number;
  /** When the two were last brought up to date. */
  readonly clock: number;
  readonly created: number;
  readonly ended: number | null;
  /** Time in ms from the decision that ended it until no request went to the losing version; null before that. */
  readonly settled_ms: number | null;
  readonly author: Author;
  readonly peer: Peer | null;
  /** Seed of the split in place of the candidate's id: clients move together with those of a linked rollout. */
  readonly salt: string | null;
  readonly evidence: Evidence;
}

/** What was counted between two looks. */
export interface LookCounts {
  /** First failures, by share. */
  readonly errors: readonly Tally[];
  /** Clients with an answer beyond each threshold, by share: one list per threshold. */
  readonly latency: readonly (readonly Tally[])[];
  /** Clients whose answers were judged by the thresholds. */
  readonly judged: { readonly candidate: number; readonly reference: number };
  /** New clients of this stage, by share: evidence for or against its split. */
  readonly shared: readonly Tally[];
  readonly counts: Counts;
  readonly cpu: CpuSums;
}

/** The gate judges what came since the last look. */
export interface Look {
  readonly type: "look";
  readonly counts: LookCounts;
  /** Index of the stage in which they were counted. */
  readonly stage: number;
  readonly slow_ms: readonly number[] | null;
  /** Until when no stage may begin, in ms since the epoch; null for not frozen. */
  readonly frozen_until: number | null;
  /** What else the next stage lacks; null for nothing. */
  readonly lacks: Lack | null;
}

/** What a rollout lacks beside its own evidence: the linked one is not ready, or a version cannot be loaded. */
export interface Lack {
  readonly why: string;
  readonly waiting: Extract<Waiting, "traffic" | "operator">;
}

/** What can happen to a rollout. */
export type RolloutEvent =
  | { readonly type: "start" }
  | Look
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  /** An operator takes responsibility for the next stage. */
  | { readonly type: "approve" }
  | { readonly type: "promote" }
  | { readonly type: "abort" }
  /** The candidate ended the process that ran it. @see registry/quarantine.ts */
  | { readonly type: "harmed"; readonly why: string }
  /** The leader of a linked pair has moved, or its follower has to go back. */
  | { readonly type: "follow"; readonly stage: number; readonly phase: Phase; readonly why: string }
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
