/** The meter and the tables of counts, with a way between them that loses messages and answers: each request counts once. */
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { Counters } from "../../src/metrics/counters.ts";
import { OUTCOMES, type Outcome } from "../../src/metrics/types.ts";
import { Meter } from "../../src/router/meter.ts";
import { type Decision, previewOf } from "../../src/router/split.ts";
import { openSqlite } from "../support/sqlite.ts";

/** What becomes of a batch: counted and acknowledged, lost before it arrives, or counted without its answer arriving. */
const FATES = ["arrives", "lost", "unanswered"] as const;
type Fate = (typeof FATES)[number];

type Step =
  | { readonly type: "request"; readonly meter: 0 | 1; readonly version: number; readonly outcome: Outcome }
  | { readonly type: "flush"; readonly meter: 0 | 1 }
  | { readonly type: "wait" };

const meterOf = fc.constantFrom(0 as const, 1 as const);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant("request" as const),
        meter: meterOf,
        version: fc.nat(2),
        outcome: fc.constantFrom(...OUTCOMES),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("flush" as const), meter: meterOf }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("wait" as const) }) },
  ),
  { maxLength: 40 },
);

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(console, "warn").mockImplementation(() => {});
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("whatever gets lost on the way, and whoever asks in between, each request counts once", async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.array(fc.constantFrom<Fate>(...FATES), { maxLength: 30 }),
      async (all, fates) => {
        const counters = new Counters(openSqlite());
        const couriers: Promise<unknown>[] = [];
        const ctx = { waitUntil: (promise: Promise<unknown>) => void couriers.push(promise) };
        let sent = 0;
        const meters = [0, 1].map(
          () =>
            new Meter(async (batch) => {
              const fate = fates[sent++] ?? "arrives";
              await new Promise((resolve) => setTimeout(resolve, 3));
              if (fate !== "lost") counters.add(batch, Date.now());
              if (fate !== "arrives") throw new Error(fate);
            }),
        );
        const decisions = meters.map(() => [0, 1, 2].map((version): Decision => previewOf(`v${version}`)));
        const expected: Record<string, number> = {};
        const flushes: Promise<void>[] = [];
        for (const step of all) {
          if (step.type === "wait") {
            await vi.advanceTimersByTimeAsync(LIMITS.countMs / 2);
          } else if (step.type === "flush") {
            flushes.push((meters[step.meter] as Meter).flush());
          } else {
            const decision = decisions[step.meter]?.[step.version] as Decision;
            (meters[step.meter] as Meter).count("w", decision, step.outcome, Date.now(), ctx);
            const what = `v${step.version} ${step.outcome}`;
            expected[what] = (expected[what] ?? 0) + 1;
          }
        }
        // Couriers go on for as long as something is left, so that no more requests are needed.
        await vi.advanceTimersByTimeAsync((fates.length + 3) * LIMITS.countMs);
        await Promise.all([...couriers, ...flushes]);
        const counted = counters
          .of("w", Date.now())
          .reasons.flatMap((count) =>
            OUTCOMES.filter((outcome) => count[outcome] > 0).map(
              (outcome) => [`${count.version_id} ${outcome}`, count[outcome]] as const,
            ),
          );
        expect(Object.fromEntries(counted)).toEqual(expected);
        const times = counters.of("w", Date.now()).durations.flatMap(({ buckets }) => buckets);
        expect(times.reduce((sum, count) => sum + count, 0)).toBe(
          all.filter(({ type }) => type === "request").length,
        );
      },
    ),
  );
});

test("a batch goes out again as it was, number and rows, and never two different ones under one number", async () => {
  const attempts: string[] = [];
  const seen = new Map<number, string>();
  const meter = new Meter(async (batch) => {
    const text = JSON.stringify(batch.rows);
    attempts.push(`${batch.seq}`);
    expect(seen.get(batch.seq) ?? text).toBe(text);
    seen.set(batch.seq, text);
    if (attempts.length <= 2) throw new Error("nobody there");
  });
  const decision = previewOf("v1");
  const ctx = { waitUntil: () => {} };
  meter.count("w", decision, "ok", Date.now(), ctx);
  await meter.flush();
  meter.count("w", decision, "exception", Date.now(), ctx);
  await meter.flush();
  await meter.flush();
  expect(attempts).toEqual(["1", "1", "1", "2"]);
  await meter.flush();
  expect(attempts).toHaveLength(4);
});
