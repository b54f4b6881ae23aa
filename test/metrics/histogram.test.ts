/** Times in buckets, and percentiles out of them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { addTimes, BOUNDS_MS, bucketOf, noTimes, quantile } from "../../src/metrics/histogram.ts";

const boundsOf = (bucket: number) => [
  bucket === 0 ? 0 : (BOUNDS_MS[bucket - 1] as number),
  BOUNDS_MS[Math.min(bucket, BOUNDS_MS.length - 1)] as number,
];

function timesOf(all: readonly number[]): number[] {
  const times = noTimes();
  for (const ms of all) times[bucketOf(ms)] = (times[bucketOf(ms)] ?? 0) + 1;
  return times;
}

test("a time on a bound is in the bucket below it, one above it in the next", () => {
  for (const [i, bound] of BOUNDS_MS.entries()) {
    expect([bucketOf(bound), bucketOf(bound + 0.5)]).toEqual([i, i + 1]);
  }
  expect(bucketOf(0)).toBe(0);
  expect(bucketOf(1e9)).toBe(BOUNDS_MS.length);
});

test("a percentile is within the bucket of the real one", () => {
  const all = fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(all, fc.constantFrom(0.5, 0.95, 0.99), (given, q) => {
      const sorted = [...given].sort((x, y) => x - y);
      const real = sorted[Math.ceil(q * sorted.length) - 1] as number;
      const [low, high] = boundsOf(bucketOf(real)) as [number, number];
      const found = quantile(timesOf(given), q) as number;
      expect(found).toBeGreaterThanOrEqual(low);
      expect(found).toBeLessThanOrEqual(high);
    }),
  );
});

test("without requests there is no percentile, and above all bounds it is the largest bound", () => {
  expect(quantile(noTimes(), 0.5)).toBeNull();
  expect(quantile(timesOf([60_000, 70_000]), 0.5)).toBe(10_000);
});

test("sums have every request", () => {
  const [a, b] = [timesOf([1, 2, 3]), timesOf([3, 4_000])];
  expect(addTimes(a, b).reduce((sum, count) => sum + count, 0)).toBe(5);
});
