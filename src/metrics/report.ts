/** What the counts of a Worker say: the one account that the page, the API, the command and Prometheus give. Pure. */
import type { Share } from "../versions/types.ts";
import { addTimes, noTimes, quantile } from "./histogram.ts";
import type { Buckets, Outcomes, SeriesPoint, VersionDuration, WorkerCounts } from "./types.ts";
import { OUTCOMES } from "./types.ts";

/** Requests and what they came to. Times in ms, null where there were no requests. */
export interface Account extends Outcomes {
  readonly requests: number;
  /** 0 to 1: errors and exceptions among the requests; null where there were none. */
  readonly error_rate: number | null;
  readonly p50_ms: number | null;
  readonly p95_ms: number | null;
  readonly p99_ms: number | null;
}

interface VersionReport extends Account {
  readonly version_id: string;
  /** 0 to 100; null where the active deployment does not have the version. */
  readonly percentage: number | null;
  /** Sum of the times until answers began. */
  readonly duration_ms: number;
  readonly reasons: Readonly<Record<string, Outcomes>>;
  /** The same of the last `window_seconds`. */
  readonly recent: Account & {
    /** 0 to 100: its part of the requests that the split shared out; null where there were none. */
    readonly observed_percentage: number | null;
  };
}

export interface WorkerReport {
  readonly total: Account;
  /** Those of the active deployment first, then those with most requests. */
  readonly versions: readonly VersionReport[];
  /** How far back `recent` goes: no further than the active deployment. */
  readonly window_seconds: number;
  /** Whether some process may serve an older deployment. */
  readonly stale: boolean;
}

const NOTHING: Outcomes = { ok: 0, error: 0, exception: 0 };

/**
 * @param shares of the active deployment
 * @param series of the window only
 */
export function reportOf(
  { reasons, durations, stale }: WorkerCounts,
  shares: readonly Share[],
  series: readonly SeriesPoint[],
  windowSeconds: number,
): WorkerReport {
  const counted = new Set([...reasons.map(({ version_id }) => version_id)]);
  const deployed = shares.map(({ version_id }) => version_id);
  const others = [...counted].filter((id) => !deployed.includes(id));
  const split = series.reduce((sum, point) => sum + point.split, 0);
  const report = (version_id: string): VersionReport => {
    const own = reasons.filter((count) => count.version_id === version_id);
    const duration = durations.find((found) => found.version_id === version_id);
    const points = series.filter((point) => point.version_id === version_id);
    const ofSplit = points.reduce((sum, point) => sum + point.split, 0);
    return {
      version_id,
      percentage: shares.find((share) => share.version_id === version_id)?.percentage ?? null,
      ...accountOf(own, duration?.buckets ?? noTimes()),
      duration_ms: duration?.ms ?? 0,
      reasons: Object.fromEntries(
        own.map(({ reason, ok, error, exception }) => [reason, { ok, error, exception }]),
      ),
      recent: {
        ...accountOf(points, sumTimes(points)),
        observed_percentage: split === 0 ? null : (ofSplit / split) * 100,
      },
    };
  };
  return {
    total: accountOf(reasons, sumTimes(durations)),
    versions: [
      ...deployed.map(report),
      ...others.map(report).sort((x, y) => y.requests - x.requests || (x.version_id < y.version_id ? -1 : 1)),
    ],
    window_seconds: windowSeconds,
    stale,
  };
}

function accountOf(counts: readonly Outcomes[], times: Buckets): Account {
  const sum = { ...NOTHING };
  for (const count of counts) for (const outcome of OUTCOMES) sum[outcome] += count[outcome];
  const requests = sum.ok + sum.error + sum.exception;
  return {
    requests,
    ...sum,
    error_rate: requests === 0 ? null : (sum.error + sum.exception) / requests,
    p50_ms: quantile(times, 0.5),
    p95_ms: quantile(times, 0.95),
    p99_ms: quantile(times, 0.99),
  };
}

function sumTimes(all: readonly Pick<VersionDuration, "buckets">[]): Buckets {
  return all.reduce<Buckets>((sum, { buckets }) => addTimes(sum, buckets), noTimes());
}
