/** The thresholds of a rollout's latency gate, from what was counted of the stable version. */
import { log } from "../lib/log.ts";
import { noTimes, quantile } from "../metrics/histogram.ts";
import type { Buckets, WorkerCounts } from "../metrics/types.ts";
import { QUANTILES } from "../rollout/intake.ts";

/** Answers that are needed: one in a thousand of them is slower than the last threshold. */
const ENOUGH = 1_000;

/**
 * The times in ms below which the parts `QUANTILES` of the answers began, ascending; equal ones are possible. Null
 * where there are fewer than 1,000 answers.
 *
 * @param buckets answers by their time, as the metrics count them
 */
export function slowTimes(buckets: Buckets): readonly number[] | null {
  const answers = buckets.reduce((sum, count) => sum + count, 0);
  if (answers < ENOUGH) return null;
  return QUANTILES.map((part) => quantile(buckets, part) as number);
}

/**
 * The same of a version. Null as well where the metrics cannot be reached: a rollout starts without them. Never rejects.
 *
 * @param counts reads what was counted of the Worker
 */
export async function thresholdsOf(
  version: string,
  counts: () => Promise<WorkerCounts>,
): Promise<readonly number[] | null> {
  try {
    const { durations } = await counts();
    return slowTimes(durations.find(({ version_id }) => version_id === version)?.buckets ?? noTimes());
  } catch (error) {
    log("error", "metrics-unreachable", { version, why: String(error) });
    return null;
  }
}
