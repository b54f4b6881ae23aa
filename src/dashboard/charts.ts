/** The data of the charts. Pure. */
import { addTimes, noTimes, quantile } from "../metrics/histogram.ts";
import type { SeriesPoint } from "../metrics/types.ts";
import { METRICS, type Metric } from "../rollout/types.ts";
import type { HistoryPoint } from "./types.ts";

/** One line per name. Each has one value per time, or null for a gap. */
export interface ChartData {
  /** Seconds since the epoch. */
  readonly times: readonly number[];
  readonly lines: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
  /** Horizontal lines, e.g. thresholds. A chart that has them is logarithmic. */
  readonly limits?: readonly Limit[];
}

export interface Limit {
  readonly name: string;
  readonly value: number;
}

export type Charts = Readonly<Record<string, ChartData>>;

interface Named {
  readonly version_id: string;
  readonly name: string;
}

/**
 * Requests per second, error rate in percent and 95th percentile in ms, by version.
 *
 * @param interval of the series, in seconds
 * @param now in seconds since the epoch
 */
export function trafficCharts(
  series: readonly SeriesPoint[],
  versions: readonly Named[],
  interval: number,
  now: number,
): Charts {
  const first = series[0]?.time ?? now;
  // The current interval is incomplete.
  const end = Math.floor(now / interval) * interval;
  const times: number[] = [];
  for (let time = first; time < end; time += interval) times.push(time);
  const pointsOf = new Map(versions.map(({ version_id }) => [version_id, new Map<number, SeriesPoint>()]));
  for (const point of series) pointsOf.get(point.version_id)?.set(point.time, point);
  const chart = (pick: (point: SeriesPoint | undefined) => number | null): ChartData => ({
    times,
    lines: versions.map(({ version_id, name }) => ({
      name,
      values: times.map((time) => pick(pointsOf.get(version_id)?.get(time))),
    })),
  });
  return {
    requests: chart((point) => (point === undefined ? 0 : requestsOf(point) / interval)),
    errors: chart((point) =>
      point === undefined ? null : ((point.error + point.exception) / requestsOf(point)) * 100,
    ),
    latency: chart((point) => quantile(addTimes(point?.buckets ?? [], noTimes()), 0.95)),
  };
}

const requestsOf = ({ ok, error, exception }: SeriesPoint) => ok + error + exception;

/**
 * The E-values of the watched metrics over time, each with its threshold.
 *
 * @param thresholds E-value at which a metric fails the gate
 */
export function evidenceChart(
  history: readonly HistoryPoint[],
  thresholds: Readonly<Partial<Record<Metric, number>>>,
): Charts {
  const watched = METRICS.filter((name) => thresholds[name] !== undefined);
  return {
    evidence: {
      times: history.map(({ time }) => time / 1_000),
      lines: watched.map((name) => ({ name, values: history.map((point) => point[name]) })),
      limits: watched.map((name) => ({ name: `limit of ${name}`, value: thresholds[name] as number })),
    },
  };
}
