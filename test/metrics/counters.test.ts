/** What is kept of counts: once each, bounded, and never less than before. */
import { beforeEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../src/lib/limits.ts";
import { Counters } from "../../src/metrics/counters.ts";
import { BOUNDS_MS, noTimes } from "../../src/metrics/histogram.ts";
import type { CountBatch, CountRow } from "../../src/metrics/types.ts";
import { openSqlite } from "../support/sqlite.ts";

let counters: Counters;
const NOW = Date.UTC(2026, 10, 23);

beforeEach(() => {
  counters = new Counters(openSqlite());
});

function row(change: Partial<CountRow> = {}): CountRow {
  const buckets = noTimes();
  buckets[0] = 1;
  return {
    worker: "w",
    version_id: "v1",
    reason: "key",
    ok: 1,
    error: 0,
    exception: 0,
    ms: 1,
    buckets,
    ...change,
  };
}

const batch = (seq: number, rows: readonly CountRow[], sender = "a"): CountBatch => ({
  sender,
  seq,
  rows,
  stale: [],
});

const requests = (worker = "w") =>
  counters.of(worker, NOW).reasons.reduce((sum, { ok, error, exception }) => sum + ok + error + exception, 0);

test("a batch that comes twice counts once, also after a later one", () => {
  counters.add(batch(1, [row()]), NOW);
  counters.add(batch(1, [row()]), NOW);
  counters.add(batch(2, [row({ error: 2, ok: 0 })]), NOW);
  counters.add(batch(1, [row()]), NOW);
  expect(counters.of("w", NOW).reasons).toEqual([
    { worker: "w", version_id: "v1", reason: "key", ok: 1, error: 2, exception: 0 },
  ]);
});

test("each sender has numbers of its own", () => {
  counters.add(batch(1, [row()], "a"), NOW);
  counters.add(batch(1, [row()], "b"), NOW);
  expect(requests()).toBe(2);
});

test("counts outlive the object that counted them", () => {
  const sqlite = openSqlite();
  new Counters(sqlite).add(batch(1, [row()]), NOW);
  const later = new Counters(sqlite);
  later.add(batch(1, [row()]), NOW);
  expect(later.of("w", NOW).reasons).toMatchObject([{ ok: 1 }]);
});

describe("more versions than have counts of their own", () => {
  const versions = LIMITS.metrics.meteredVersions + 15;

  test("go on as one, so that no sum falls and the rows stay bounded", () => {
    for (let i = 1; i <= versions; i++) {
      counters.add(
        batch(i, [
          row({ version_id: `v${i}` }),
          row({ version_id: `v${i}`, reason: "random", exception: 1 }),
        ]),
        NOW + i,
      );
      expect(requests()).toBe(i * 3);
    }
    const { durations, reasons } = counters.of("w", NOW);
    expect(durations).toHaveLength(LIMITS.metrics.meteredVersions + 1);
    expect(new Set(reasons.map(({ version_id }) => version_id)).size).toBe(
      LIMITS.metrics.meteredVersions + 1,
    );
    const others = reasons.filter(({ version_id }) => version_id === "other");
    expect(others).toEqual([
      expect.objectContaining({ reason: "key", ok: 15 }),
      expect.objectContaining({ reason: "random", ok: 15, exception: 15 }),
    ]);
    expect(durations.reduce((sum, { ms }) => sum + ms, 0)).toBe(versions * 2);
  });

  test("lose those that were used longest ago, not those that serve", () => {
    for (let i = 1; i <= versions; i++) {
      counters.add(batch(i, [row({ version_id: "stable" }), row({ version_id: `v${i}` })]), NOW + i);
    }
    const kept = counters.of("w", NOW).durations.map(({ version_id }) => version_id);
    expect(kept).toContain("stable");
    expect(kept).toContain(`v${versions}`);
    expect(kept).not.toContain("v1");
  });
});

test("a Worker that is forgotten leaves nothing, and takes nothing of another one's", () => {
  counters.add(batch(1, [row(), row({ worker: "other" })]), NOW);
  counters.setStale("w", true);
  counters.forget("w", ["v1"], NOW);
  expect(counters.of("w", NOW)).toEqual({ reasons: [], durations: [], stale: false });
  expect(counters.series("w", 0)).toEqual([]);
  expect(requests("other")).toBe(1);
});

test("late answers of a deleted Worker's versions are not counted, neither for it nor for the next Worker of its name", () => {
  counters.add(batch(1, [row()]), NOW);
  counters.forget("w", ["v1"], NOW);
  counters.add(batch(2, [row(), row({ version_id: "v2" })]), NOW);
  expect(counters.of("w", NOW).reasons).toMatchObject([{ version_id: "v2", ok: 1 }]);
});

describe("a stale Worker", () => {
  test("is so until the registry says that it is over, whatever routers say", () => {
    counters.setStale("w", true);
    counters.add({ ...batch(1, []), stale: ["w"] }, NOW);
    expect(counters.of("w", NOW + 10 * LIMITS.metrics.staleShownMs).stale).toBe(true);
    counters.setStale("w", false);
    expect(counters.all(NOW).stale).toEqual([]);
  });

  test("is shown for a minute where a router said so", () => {
    counters.add({ ...batch(1, []), stale: ["w"] }, NOW);
    expect(counters.all(NOW + LIMITS.metrics.staleShownMs - 1).stale).toEqual(["w"]);
    expect(counters.all(NOW + LIMITS.metrics.staleShownMs).stale).toEqual([]);
  });
});

test("the series sums the requests of an interval, marks those that the split decided, and forgets old ones", () => {
  counters.add(batch(1, [row(), row({ reason: "override", error: 1 })]), NOW);
  counters.add(batch(2, [row()]), NOW + LIMITS.metrics.seriesIntervalMs - 1);
  counters.add(batch(3, [row()]), NOW + LIMITS.metrics.seriesIntervalMs);
  expect(counters.series("w", 0)).toMatchObject([
    { time: NOW / 1_000, version_id: "v1", ok: 3, error: 1, split: 2 },
    { time: (NOW + LIMITS.metrics.seriesIntervalMs) / 1_000, ok: 1, split: 1 },
  ]);
  counters.add(batch(4, [row()]), NOW + LIMITS.metrics.seriesMs + 2 * LIMITS.metrics.seriesIntervalMs);
  expect(counters.series("w", 0)).toHaveLength(1);
  expect(requests()).toBe(6);
});

test("there are as many buckets as bounds, and one more", () => {
  expect(noTimes()).toHaveLength(BOUNDS_MS.length + 1);
});
