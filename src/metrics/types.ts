/** What is counted of requests. */
import type { Outcome, Reason } from "../router/split.ts";

export const OUTCOMES = ["ok", "error", "exception"] as const satisfies readonly Outcome[];

export type Outcomes = Readonly<Record<Outcome, number>>;

/** Times until answers begin, by bucket of BOUNDS_MS; the last one has those above all bounds. */
export type Buckets = readonly number[];

/** What one sender counted for one decision since it sent before. */
export interface CountRow extends Outcomes {
  readonly worker: string;
  readonly version_id: string;
  readonly reason: Reason;
  readonly buckets: Buckets;
  /** Sum of the times, in ms. */
  readonly ms: number;
}

/** Counted once, however often it is sent: `seq` grows by one with each batch of a sender. */
export interface CountBatch {
  readonly sender: string;
  readonly seq: number;
  readonly rows: readonly CountRow[];
  /** Workers whose deployment could not be read: the last good one serves. */
  readonly stale: readonly string[];
}

/** Version under which the counts of those go on that have no row of their own any more. */
export const OTHER_VERSIONS = "other";

/** All requests of a Worker that got one version for one reason. */
export interface ReasonCount extends Outcomes {
  readonly worker: string;
  readonly version_id: string;
  readonly reason: Reason;
}

export interface VersionDuration {
  readonly worker: string;
  readonly version_id: string;
  readonly buckets: Buckets;
  /** Sum in ms. */
  readonly ms: number;
}

/** What a version did in one interval. */
export interface SeriesPoint extends Outcomes {
  readonly version_id: string;
  /** Begin of the interval, in seconds since the epoch. */
  readonly time: number;
  /** Requests that the split gave to the version: neither overrides nor pins nor previews. */
  readonly split: number;
  readonly buckets: Buckets;
}

/** Everything that is known of one Worker. */
export interface WorkerCounts {
  readonly reasons: readonly ReasonCount[];
  readonly durations: readonly VersionDuration[];
  readonly stale: boolean;
}

/** Counts of all Workers. */
export interface AllCounts {
  readonly reasons: readonly ReasonCount[];
  readonly durations: readonly VersionDuration[];
  readonly stale: readonly string[];
}
