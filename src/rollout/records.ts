/** What a rollout records and what routers report about it. */
import type { Author } from "../versions/types.ts";
import type { Notice, Rollout, RolloutEvent } from "./types.ts";

/**
 * One client's first answer, as a router saw it: the hash of the client's key (null for a request without a key),
 * whether the candidate answered, whether the answer failed, its time in ms, and the percentage that the answering
 * version had. The percentage tells apart answers from before the current stage, which say nothing about its split.
 */
export type Observation = readonly [
  hash: number | null,
  isCandidate: boolean,
  failed: boolean,
  ms: number,
  percentage: number,
];

/** A transition of a rollout, with everything needed to replay it. Time in ms since the epoch. */
export interface TrailEntry {
  readonly time: number;
  readonly who: Author;
  readonly event: RolloutEvent;
  readonly before: Rollout;
  readonly after: Rollout;
  readonly deployment_id: string | null;
}

/** The E-value of each metric at one look. Time in ms since the epoch. */
export interface LookPoint {
  readonly time: number;
  readonly errors: number;
  readonly latency: number;
}

/** The result of an event. */
export interface RolloutPatch {
  readonly rollout: Rollout;
  readonly deployed: boolean;
  readonly notice: Notice | null;
}
