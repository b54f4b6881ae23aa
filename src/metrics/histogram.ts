/** Times in buckets. Pure. */
import type { Buckets } from "./types.ts";

/** Upper bounds (inclusive) of the buckets in ms; one more takes what is above all of them. workerd's clock has whole ms. */
export const BOUNDS_MS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000] as const;

export function noTimes(): number[] {
  return new Array<number>(BOUNDS_MS.length + 1).fill(0);
}

/** Index of the bucket of a time. @param ms 0 or more */
export function bucketOf(ms: number): number {
  let i = 0;
  while (i < BOUNDS_MS.length && ms > (BOUNDS_MS[i] as number)) i++;
  return i;
}

export function addTimes(a: Buckets, b: Buckets): number[] {
  return noTimes().map((_, i) => (a[i] ?? 0) + (b[i] ?? 0));
}

/**
 * The time in ms below which a part of the requests was answered, as Prometheus' `histogram_quantile` has it
 * (https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile): linear within a bucket, and the
 * largest bound where it is above all of them. Null where there were none.
 *
 * @param q 0 to 1
 */
export function quantile(buckets: Buckets, q: number): number | null {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = q * total;
  let below = 0;
  for (const [i, bound] of BOUNDS_MS.entries()) {
    const count = buckets[i] ?? 0;
    if (below + count >= rank && count > 0) {
      const lower = i === 0 ? 0 : (BOUNDS_MS[i - 1] as number);
      return lower + ((bound - lower) * (rank - below)) / count;
    }
    below += count;
  }
  return BOUNDS_MS.at(-1) as number;
}
