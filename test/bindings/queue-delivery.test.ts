import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fateOf, nextDelivery } from "../../src/bindings/queue/delivery.ts";
import type { BatchOutcome } from "../../src/bindings/queue/types.ts";
import { type Windows, withinLimit } from "../../src/bindings/ratelimit/windows.ts";

const CONSUMER = { batch_size: 10, max_wait_ms: 5_000 };

describe("the next batch of a queue", () => {
  test("is never, where nothing waits", () => {
    expect(
      nextDelivery({ ready: 0, readySince: undefined, nextReady: undefined }, CONSUMER, 100),
    ).toBeUndefined();
  });

  test("is now, where it is full", () => {
    expect(nextDelivery({ ready: 10, readySince: 99, nextReady: undefined }, CONSUMER, 100)).toBe(100);
  });

  test("waits for more as long as it may, from when its oldest message was ready", () => {
    expect(nextDelivery({ ready: 1, readySince: 40, nextReady: undefined }, CONSUMER, 100)).toBe(5_040);
    expect(nextDelivery({ ready: 1, readySince: 40, nextReady: undefined }, CONSUMER, 6_000)).toBe(6_000);
  });

  test("is looked at again when a delayed message becomes ready, which may fill it", () => {
    expect(nextDelivery({ ready: 9, readySince: 100, nextReady: 200 }, CONSUMER, 100)).toBe(200);
    expect(nextDelivery({ ready: 0, readySince: undefined, nextReady: 900 }, CONSUMER, 100)).toBe(900);
  });

  test("is never in the past", () => {
    const time = fc.nat(100_000);
    fc.assert(
      fc.property(
        fc.nat(20),
        fc.option(time, { nil: undefined }),
        fc.option(time, { nil: undefined }),
        time,
        (ready, readySince, nextReady, now) => {
          const at = nextDelivery({ ready, readySince, nextReady }, CONSUMER, now);
          expect(at ?? now).toBeGreaterThanOrEqual(now);
        },
      ),
    );
  });
});

describe("what becomes of a message", () => {
  const outcome = (change: Partial<BatchOutcome> = {}): BatchOutcome => ({
    acked: [],
    retried: [],
    others: "ack",
    othersDelay: undefined,
    ...change,
  });
  const consumer = { max_retries: 2, retry_delay: 3 };
  const fate = (attempts: number, said: BatchOutcome) => fateOf({ id: "m", attempts }, said, consumer, 1_000);

  test("is its end, where the consumer returned and said nothing of it", () => {
    expect(fate(1, outcome())).toEqual({ kind: "delete" });
  });

  test("follows the call for that message, whatever was called for the batch", () => {
    expect(fate(1, outcome({ acked: ["m"], others: "retry" }))).toEqual({ kind: "delete" });
    expect(fate(1, outcome({ retried: [{ id: "m", delay: 7 }] }))).toEqual({ kind: "retry", at: 8_000 });
  });

  test("is another try after the consumer's own delay, where none was named", () => {
    expect(fate(1, outcome({ others: "retry" }))).toEqual({ kind: "retry", at: 4_000 });
    expect(fate(1, outcome({ others: "retry", othersDelay: 0 }))).toEqual({ kind: "retry", at: 1_000 });
  });

  test("is the dead letter queue once it was tried again as often as it may be", () => {
    expect(fate(2, outcome({ others: "retry" })).kind).toBe("retry");
    expect(fate(3, outcome({ others: "retry" })).kind).toBe("dead");
    expect(fate(3, outcome({ acked: ["m"], others: "retry" })).kind).toBe("delete");
  });
});

describe("a rate limit", () => {
  test("lets as many calls through in each window as it says, for each key by itself", () => {
    const windows: Windows = new Map();
    const call = (key: string, now: number) =>
      withinLimit(windows, key, { limit: 2, lengthMs: 10_000, maxKeys: 100 }, now);
    expect([call("a", 0), call("a", 9_999), call("a", 9_999), call("b", 9_999)]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect([call("a", 10_000), call("a", 10_001), call("a", 10_002)]).toEqual([true, true, false]);
  });

  test("counts a bounded number of keys, and forgets the window begun longest ago", () => {
    const windows: Windows = new Map();
    for (let i = 0; i < 50; i++)
      withinLimit(windows, `k${i}`, { limit: 1, lengthMs: 10_000, maxKeys: 10 }, i);
    expect([...windows.keys()]).toEqual(Array.from({ length: 10 }, (_, i) => `k${i + 40}`));
  });
});
