/** What is counted of requests, and what is known of the processes. */
import type { Outcome, Reason } from "../router/split.ts";
import type { Cause } from "../versions/incident.ts";

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

/** One process. What the system does not say is null, and so is what a process that is down has not. */
export interface ProcessHealth {
  readonly name: string;
  readonly pid: number | null;
  /** Whether it listens on all of its sockets. */
  readonly up: boolean;
  readonly resident_memory_bytes: number | null;
  /** Resident memory above which the process is restarted; null for no limit. */
  readonly memory_limit_bytes: number | null;
  readonly open_fds: number | null;
  readonly max_fds: number | null;
  /** Since the process started. */
  readonly cpu_seconds: number | null;
  /** Ends that nobody asked for, since `sluice serve` started; null for `sluice serve` itself, which nobody restarts. */
  readonly restarts: Readonly<Record<Cause, number>> | null;
}

/** What the supervisor says every few seconds. */
export interface HealthSample {
  readonly processes: readonly ProcessHealth[];
  /** The file system with the data folder; null where the system does not say. */
  readonly disk: { readonly free_bytes: number; readonly size_bytes: number } | null;
}

export interface Health extends HealthSample {
  /** When the supervisor said so, ISO 8601 in UTC; null if it has not yet. */
  readonly sampled_on: string | null;
  /** Whether the supervisor has been silent since, for so long that nothing of this need be true any more. */
  readonly is_stale: boolean;
}
