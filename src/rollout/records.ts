import type { Author } from "../versions/types.ts";
import type { Notice, Rollout, RolloutEvent } from "./types.ts";

/**
 * What a router saw of one client's first answer: hash of the client's key (null for a request without one), whether it was
 * the candidate's, whether it failed, how long it took in ms, and the percentage of the version that it got: an answer that was
 * given before a stage began says nothing about the shares of that stage.
 */
export type Observation = readonly [
  hash: number | null,
  isCandidate: boolean,
  failed: boolean,
  ms: number,
  percentage: number,
];

/** A transition of a rollout, with all that is needed to have it again. Time in ms since the epoch. */
export interface TrailEntry {
  readonly time: number;
  readonly who: Author;
  readonly event: RolloutEvent;
  readonly before: Rollout;
  readonly after: Rollout;
  readonly deployment_id: string | null;
}

/** What the gate knew at one look: ms since the epoch, and the E-value of each metric. */
export interface LookPoint {
  readonly time: number;
  readonly errors: number;
  readonly latency: number;
}

/** What an event came to. */
export interface RolloutPatch {
  readonly rollout: Rollout;
  readonly deployed: boolean;
  readonly notice: Notice | null;
}
