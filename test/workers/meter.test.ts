/** Counting where requests are: nothing lost, nothing twice, and one courier at a time. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/lib/limits.ts";
import { Meter } from "../../src/metrics/meter.ts";
import type { CountBatch } from "../../src/metrics/types.ts";
import { previewOf } from "../../src/router/split.ts";
import { flushCounts } from "../../src/versions/changes.ts";

let sent: CountBatch[];
let couriers: Promise<unknown>[];
let fails: number;
let meter: Meter;

const ctx = { waitUntil: (promise: Promise<unknown>) => void couriers.push(promise) };
const total = () =>
  sent.flatMap(({ rows }) => rows).reduce((sum, { ok, error, exception }) => sum + ok + error + exception, 0);
const second = () => vi.advanceTimersByTimeAsync(LIMITS.metrics.countMs);

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "warn").mockImplementation(() => {});
  [sent, couriers, fails] = [[], [], 0];
  meter = new Meter(async (batch) => {
    if (fails-- > 0) throw new Error("nobody there");
    sent.push(batch);
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("requests of one decision are one row, with their outcomes and times", async () => {
  const decision = previewOf("w", "v1");
  meter.count(decision, "ok", Date.now() - 0, ctx);
  meter.count(decision, "error", Date.now() - 7, ctx);
  meter.count(decision, "exception", Date.now() - 99_999, ctx);
  meter.count(previewOf("w", "v2"), "ok", Date.now() - 1, ctx);
  await second();
  expect(sent).toHaveLength(1);
  expect(sent[0]?.rows).toMatchObject([
    { worker: "w", version_id: "v1", reason: "preview", ok: 1, error: 1, exception: 1, ms: 100_006 },
    { version_id: "v2", ok: 1 },
  ]);
  expect(sent[0]?.rows[0]?.buckets.reduce((sum, count) => sum + count, 0)).toBe(3);
  expect(couriers).toHaveLength(1);
  await Promise.all(couriers);
});

test("what could not be sent is sent again under the same number, and what came meanwhile under the next", async () => {
  const decision = previewOf("w", "v1");
  fails = 2;
  meter.count(decision, "ok", Date.now() - 1, ctx);
  await second();
  meter.count(decision, "ok", Date.now() - 1, ctx);
  await second();
  await second();
  await second();
  expect(sent.map(({ seq }) => seq)).toEqual([1, 2]);
  expect(new Set(sent.map(({ sender }) => sender)).size).toBe(1);
  expect(total()).toBe(2);
});

test("one request sends the counts of all, but not for ever: while nothing can be sent, a later request takes over", async () => {
  const decision = previewOf("w", "v1");
  fails = 9;
  for (let i = 0; i < 10; i++) {
    meter.count(decision, "ok", Date.now() - 1, ctx);
    meter.count(decision, "ok", Date.now() - 1, ctx);
    await second();
  }
  expect(couriers.length).toBeGreaterThan(1);
  expect(couriers.length).toBeLessThanOrEqual(Math.ceil(10 / LIMITS.metrics.countRounds) + 1);
  await second();
  await second();
  await Promise.all(couriers);
  expect(total()).toBe(20);
});

test("a flush sends everything at once, and nothing is sent again", async () => {
  meter.count(previewOf("w", "v1"), "ok", Date.now() - 1, ctx);
  await flushCounts();
  expect(total()).toBe(1);
  await second();
  await second();
  expect(total()).toBe(1);
});

test("two who ask at once both wait until everything that was counted before has arrived", async () => {
  const waiting: (() => void)[] = [];
  const arrived = new Set<number>();
  const slow = new Meter(async ({ seq }) => {
    await new Promise<void>((go) => waiting.push(go));
    arrived.add(seq);
  });
  slow.count(previewOf("w", "v1"), "ok", Date.now(), ctx);
  const first = slow.flush();
  slow.count(previewOf("w", "v2"), "ok", Date.now(), ctx);
  let seen: number[] = [];
  const second = slow.flush().then(() => {
    seen = [...arrived].sort();
  });
  for (let i = 0; i < 20; i++) {
    waiting.shift()?.();
    await vi.advanceTimersByTimeAsync(1);
  }
  await Promise.all([first, second]);
  expect(seen).toEqual([1, 2]);
});

test("a Worker whose deployment cannot be read is named with the next counts, once", async () => {
  meter.noteStale("w");
  meter.noteStale("w");
  meter.count(previewOf("w", "v1"), "ok", Date.now() - 1, ctx);
  await second();
  meter.count(previewOf("w", "v1"), "ok", Date.now() - 1, ctx);
  await second();
  expect(sent.map(({ stale }) => stale)).toEqual([["w"], []]);
});
