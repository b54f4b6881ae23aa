/** From which time on an answer counts as slow in a rollout. */
import { describe, expect, test } from "vitest";
import { BOUNDS_MS, bucketOf, noTimes } from "../../src/metrics/histogram.ts";
import { slowTimes, thresholdsOf } from "../../src/registry/thresholds.ts";

/** @param answers pairs of a time in ms and how many answers took it */
const counted = (...answers: readonly (readonly [ms: number, count: number])[]): number[] => {
  const buckets = noTimes();
  for (const [ms, count] of answers) buckets[bucketOf(ms)] = (buckets[bucketOf(ms)] ?? 0) + count;
  return buckets;
};

describe("the thresholds of a stable version", () => {
  test("are five times between its usual and its slowest answers", () => {
    const times = slowTimes(counted([4, 6_000], [40, 3_500], [400, 480], [4_000, 20]));
    expect(times).toHaveLength(5);
    const [p50 = 0, p90 = 0, p95 = 0, p99 = 0, p999 = 0] = times ?? [];
    expect([p50 <= 5, p90 <= 50, p95 <= 50, p99 <= 500, p999 <= 5_000]).toEqual(new Array(5).fill(true));
    expect([p50 > 2, p90 > 25, p95 > 25, p99 > 250, p999 > 2_500]).toEqual(new Array(5).fill(true));
  });

  test("ascend, whatever its times are", () => {
    for (const ms of [0, 1, 30, 10_000, 60_000]) {
      const times = slowTimes(counted([ms, 5_000], [5, 3])) ?? [];
      expect(times).toEqual([...times].sort((x, y) => x - y));
    }
  });

  test("are equal at the largest time that is counted where most answers take longer", () => {
    expect(slowTimes(counted([20_000, 1_000]))).toEqual(new Array(5).fill(BOUNDS_MS.at(-1)));
  });

  test("are unknown until it has answered a thousand times", () => {
    expect(slowTimes(noTimes())).toBeNull();
    expect(slowTimes(counted([3, 999]))).toBeNull();
    expect(slowTimes(counted([3, 1_000]))).not.toBeNull();
  });

  test("are those of that version alone, and unknown where nobody can be asked", async () => {
    const worker = "shop";
    const of = (version_id: string, ms: number) => ({
      worker,
      version_id,
      ms: 0,
      buckets: counted([ms, 2_000]),
    });
    const counts = async () => ({ reasons: [], durations: [of("a", 1), of("b", 300)], stale: false });
    expect(await thresholdsOf("a", counts)).toEqual(slowTimes(of("a", 1).buckets));
    expect(await thresholdsOf("b", counts)).toEqual(slowTimes(of("b", 300).buckets));
    expect(await thresholdsOf("c", counts)).toBeNull();
    expect(await thresholdsOf("a", () => Promise.reject(new Error("it restarts")))).toBeNull();
  });
});
