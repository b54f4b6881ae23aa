/** What counts say of a Worker. */
import { expect, test } from "vitest";
import { noTimes } from "../../src/metrics/histogram.ts";
import { reportOf } from "../../src/metrics/report.ts";
import type { SeriesPoint, WorkerCounts } from "../../src/metrics/types.ts";

const times = (count: number) => [count, ...noTimes().slice(1)];

const COUNTS: WorkerCounts = {
  reasons: [
    { worker: "w", version_id: "v1", reason: "key", ok: 80, error: 10, exception: 10 },
    { worker: "w", version_id: "v1", reason: "override", ok: 5, error: 0, exception: 0 },
    { worker: "w", version_id: "v2", reason: "key", ok: 20, error: 0, exception: 0 },
    { worker: "w", version_id: "other", reason: "single", ok: 1_000, error: 0, exception: 0 },
  ],
  durations: [
    { worker: "w", version_id: "v1", buckets: times(105), ms: 50 },
    { worker: "w", version_id: "v2", buckets: times(20), ms: 5 },
    { worker: "w", version_id: "other", buckets: times(1_000), ms: 0 },
  ],
  stale: false,
};

const SHARES = [
  { version_id: "v1", number: 1, percentage: 75 },
  { version_id: "v2", number: 2, percentage: 25 },
];

const point = (version_id: string, ok: number, split: number): SeriesPoint => ({
  version_id,
  time: 0,
  ok,
  error: 0,
  exception: 0,
  split,
  buckets: times(ok),
});

const report = reportOf(COUNTS, SHARES, [point("v1", 100, 60), point("v2", 20, 20)], 300);
const version = (id: string) => report.versions.find(({ version_id }) => version_id === id);

test("the total is the sum of all versions, those without rows of their own included", () => {
  expect(report.total).toMatchObject({ requests: 1_125, ok: 1_105, error: 10, exception: 10 });
  expect(report.versions.reduce((sum, { requests }) => sum + requests, 0)).toBe(report.total.requests);
  expect(report.versions.map(({ version_id }) => version_id)).toEqual(["v1", "v2", "other"]);
});

test("the error rate counts errors and exceptions, and a version without requests has no rate", () => {
  expect(version("v1")?.error_rate).toBeCloseTo(20 / 105, 10);
  expect(reportOf({ reasons: [], durations: [], stale: true }, SHARES, [], 0)).toMatchObject({
    total: { requests: 0, error_rate: null, p50_ms: null },
    versions: [{ recent: { observed_percentage: null } }, { percentage: 25 }],
    stale: true,
  });
});

test("the observed share counts requests that the split decided, not overrides, pins and previews", () => {
  expect(version("v1")?.recent).toMatchObject({ requests: 100, observed_percentage: 75 });
  expect(version("v2")?.recent).toMatchObject({ requests: 20, observed_percentage: 25 });
  expect(version("other")?.percentage).toBeNull();
});

test("each reason is told apart", () => {
  expect(version("v1")?.reasons).toEqual({
    key: { ok: 80, error: 10, exception: 10 },
    override: { ok: 5, error: 0, exception: 0 },
  });
});
