/** The meter over a way that loses messages and answers: with a receiver that knows numbers, each request counts once. */
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/lib/limits.ts";
import { Meter } from "../../src/metrics/meter.ts";
import { type CountBatch, OUTCOMES } from "../../src/metrics/types.ts";
import { type Decision, previewOf } from "../../src/router/split.ts";

/** What becomes of a batch: counted and acknowledged, lost before it arrives, or counted without its answer arriving. */
const FATES = ["arrives", "lost", "unanswered"] as const;

/** How long each way takes, in ms: so that sends overlap, and requests come between them. */
const way = fc.record({ fate: fc.constantFrom(...FATES), there: fc.integer({ min: 1, max: 6 }) });

const request = fc.record({
  type: fc.constant("request" as const),
  version: fc.nat(1),
  outcome: fc.constantFrom(...OUTCOMES),
});
const flush = fc.record({ type: fc.constant("flush" as const) });
const wait = fc.record({
  type: fc.constant("wait" as const),
  ms: fc.constantFrom(1, 1, 2, 3, LIMITS.metrics.countMs / 2),
});
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: request },
    { weight: 2, arbitrary: flush },
    { weight: 3, arbitrary: wait },
  ),
  { maxLength: 40, size: "max" },
);

/** The rule of CountBatch, and no more: a number that was there before is not counted again, and none is left out. */
class Receiver {
  readonly counted: Record<string, number> = {};
  /** What the meter did that it must not. Kept, since a meter takes what is thrown for a failure of the way. */
  readonly complaints: string[] = [];
  #last = 0;

  add({ seq, rows }: CountBatch): void {
    if (seq > this.#last + 1) this.complaints.push(`${seq} after ${this.#last}`);
    if (seq <= this.#last) return;
    this.#last = seq;
    for (const row of rows) {
      const times = row.buckets.reduce((sum, count) => sum + count, 0);
      if (times !== row.ok + row.error + row.exception) this.complaints.push(`${times} times in ${seq}`);
      for (const outcome of OUTCOMES) {
        const what = `${row.version_id} ${outcome}`;
        if (row[outcome] > 0) this.counted[what] = (this.counted[what] ?? 0) + row[outcome];
      }
    }
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "warn").mockImplementation(() => {});
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("each request counts once, whatever is lost on the way and whenever counts are read", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.array(way, { maxLength: 20, size: "max" }), async (all, ways) => {
      const receiver = new Receiver();
      const pending: Promise<unknown>[] = [];
      const ctx = { waitUntil: (promise: Promise<unknown>) => void pending.push(promise) };
      let sent = 0;
      const meter = new Meter(async (batch) => {
        const { fate, there } = ways[sent++] ?? { fate: "arrives", there: 1 };
        await new Promise((resolve) => setTimeout(resolve, there));
        if (fate !== "lost") receiver.add(batch);
        if (fate !== "arrives") throw new Error(fate);
      });
      const decisions = [previewOf("w", "v0"), previewOf("w", "v1")];
      const expected: Record<string, number> = {};
      for (const step of all) {
        if (step.type === "wait") {
          await vi.advanceTimersByTimeAsync(step.ms);
        } else if (step.type === "flush") {
          pending.push(meter.flush());
        } else {
          meter.count(decisions[step.version] as Decision, step.outcome, Date.now(), ctx);
          const what = `v${step.version} ${step.outcome}`;
          expected[what] = (expected[what] ?? 0) + 1;
        }
      }
      // A courier goes on for as long as something is left: no further request is needed.
      await vi.advanceTimersByTimeAsync((ways.length + 3) * (LIMITS.metrics.countMs + 20));
      await Promise.all(pending);
      expect([receiver.complaints, receiver.counted]).toEqual([[], expected]);
    }),
    { numRuns: 500 },
  );
});

test("a batch is repeated unchanged, with number and rows, and no number stands for two batches", async () => {
  const attempts: number[] = [];
  const seen = new Map<number, string>();
  const meter = new Meter(async ({ seq, rows }) => {
    attempts.push(seq);
    const text = JSON.stringify(rows);
    expect(seen.get(seq) ?? text).toBe(text);
    seen.set(seq, text);
    if (attempts.length <= 2) throw new Error("nobody there");
  });
  const decision = previewOf("w", "v1");
  const ctx = { waitUntil: () => {} };
  meter.count(decision, "ok", Date.now(), ctx);
  await meter.flush();
  meter.count(decision, "exception", Date.now(), ctx);
  await meter.flush();
  await meter.flush();
  expect(attempts).toEqual([1, 1, 1, 2]);
  await meter.flush();
  expect(attempts).toHaveLength(4);
});
