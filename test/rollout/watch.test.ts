import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../src/lib/limits.ts";
import type { ObservedArm, Observations } from "../../src/rollout/records.ts";
import { Watch } from "../../src/rollout/watch.ts";
import type { Observed } from "../../src/router/split.ts";

const SPLIT = { share: 0.5, percentage: 10 };
const of = (arm: ObservedArm): Observed => ({ arm, split: SPLIT });
const CANDIDATE = of("candidate");
const REFERENCE = of("reference");
const SECOND = 1_000;
const TIMEOUT = 30 * SECOND;

/** A request that is answered at once. */
function visit(watch: Watch, hash: number | null, at: number, observed = CANDIDATE): void {
  const ticket = watch.begin(hash, observed, at);
  watch.answer(ticket, 5, at);
  watch.end(ticket);
}

function fail(watch: Watch, hash: number | null, at: number, prefix?: string): void {
  const ticket = watch.begin(hash, CANDIDATE, at, prefix);
  watch.answer(ticket, 5, at);
  watch.fail(ticket, "status", at);
  watch.end(ticket);
}

/** Takes the next report, which arrives. */
function take(watch: Watch): Observations {
  const report = watch.drain() ?? { sender: "w", seq: -1, visits: [], failures: [], clients: [] };
  watch.acknowledge(report);
  return report;
}

const visitsOf = ({ visits }: Observations) => visits.reduce((sum, each) => sum + each.visits, 0);

describe("visits", () => {
  test("a client counts once in ten seconds", () => {
    const watch = new Watch("w");
    for (let at = 0; at < 20 * SECOND; at += 100) visit(watch, 7, at);
    expect(visitsOf(take(watch))).toBe(2);
  });

  test("begin with the request, whether or not it is answered", () => {
    const watch = new Watch("w");
    watch.begin(7, CANDIDATE, 0);
    expect(take(watch).visits).toEqual([{ arm: "candidate", visits: 1, ...SPLIT }]);
  });

  test("5,000 regular users count for as long as they come", () => {
    const watch = new Watch("w");
    const counted: number[] = [];
    for (let at = 0; at < 120 * SECOND; at += 20 * SECOND) {
      for (let user = 0; user < 5_000; user++) visit(watch, user, at + (user % 20) * SECOND);
      watch.sweep(at + 20 * SECOND - 1, TIMEOUT);
      counted.push(visitsOf(take(watch)));
    }
    expect(counted).toEqual([5_000, 5_000, 5_000, 5_000, 5_000, 5_000]);
  });

  test("without a key count up to a cap in ten seconds for each network", () => {
    const watch = new Watch("w");
    const cap = LIMITS.rollouts.observationsPerPrefix;
    for (let i = 0; i < 100; i++) watch.begin(null, CANDIDATE, 0, "10.0.0");
    watch.begin(null, CANDIDATE, 0, "10.0.1");
    expect(visitsOf(take(watch))).toBe(cap + 1);
    for (let i = 0; i < 100; i++) watch.begin(null, CANDIDATE, 10 * SECOND, "10.0.0");
    expect(visitsOf(take(watch))).toBe(cap);
  });

  test("never count more than one for each ten seconds that a client was there", () => {
    const steps = fc.array(fc.tuple(fc.nat(5), fc.integer({ min: -20_000, max: 5_000 })), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (requests) => {
        const watch = new Watch("w");
        const byClient = new Map<number, number>();
        let at = 100_000;
        let passed = 0;
        for (const [hash, step] of requests) {
          at += step;
          passed += Math.max(step, 0);
          watch.sweep(at, TIMEOUT);
          visit(watch, hash, at);
          const most = Math.floor(passed / LIMITS.rollouts.visitMs) + 1;
          byClient.set(hash, most);
        }
        const most = [...byClient.values()].reduce((sum, each) => sum + each, 0);
        expect(visitsOf(take(watch))).toBeLessThanOrEqual(most);
      }),
    );
  });

  test("go on being counted after a clock has gone back an hour", () => {
    const watch = new Watch("w");
    visit(watch, 7, 3_600 * SECOND);
    take(watch);
    visit(watch, 7, 0);
    visit(watch, 7, 11 * SECOND);
    expect(visitsOf(take(watch))).toBe(1);
  });
});

describe("failures", () => {
  test("a client's failure after a hundred good answers is reported", () => {
    const watch = new Watch("w");
    for (let i = 0; i < 100; i++) visit(watch, 7, i * SECOND);
    fail(watch, 7, 200 * SECOND);
    expect(take(watch).failures).toEqual([{ hash: 7, arm: "candidate", kind: "status", ...SPLIT }]);
  });

  test("a client's second failure is not reported", () => {
    const watch = new Watch("w");
    for (let i = 0; i < 100; i++) fail(watch, 7, i * SECOND);
    expect(take(watch).failures).toHaveLength(1);
  });

  test("clients of every arm are reported, also those that are not compared", () => {
    const watch = new Watch("w");
    const arms: ObservedArm[] = ["candidate", "reference", "beside", "cohort"];
    arms.forEach((arm, hash) => {
      const ticket = watch.begin(hash, of(arm), 0);
      watch.fail(ticket, "exception", 0);
    });
    expect(take(watch).failures.map(({ arm }) => arm)).toEqual(arms);
  });

  test("without a key count up to a cap for each network, and again when the time of a visit is over", () => {
    const watch = new Watch("w");
    for (let i = 0; i < 100; i++) fail(watch, null, 0, "10.0.0");
    expect(take(watch).failures).toHaveLength(LIMITS.rollouts.observationsPerPrefix);
    for (let i = 0; i < 100; i++) fail(watch, null, 60 * SECOND, "10.0.0");
    expect(take(watch).failures).toHaveLength(LIMITS.rollouts.observationsPerPrefix);
  });

  test("a request without an answer is a failure when the time is over, once", () => {
    const watch = new Watch("w");
    const ticket = watch.begin(7, CANDIDATE, 0);
    watch.sweep(TIMEOUT - 1, TIMEOUT);
    expect(take(watch).failures).toEqual([]);
    watch.sweep(TIMEOUT, TIMEOUT);
    watch.sweep(2 * TIMEOUT, TIMEOUT);
    watch.fail(ticket, "lost", 2 * TIMEOUT);
    expect(take(watch).failures).toEqual([{ hash: 7, arm: "candidate", kind: "timeout", ...SPLIT }]);
  });

  test("a request that its client gave up in time is none", () => {
    const watch = new Watch("w");
    watch.end(watch.begin(7, CANDIDATE, 0));
    watch.sweep(2 * TIMEOUT, TIMEOUT);
    const { failures, clients } = take(watch);
    expect({ failures, clients }).toEqual({ failures: [], clients: [] });
  });

  test("a client that found no room is reported with its next failure", () => {
    const watch = new Watch("w");
    const most = LIMITS.rollouts.maxObservations;
    for (let hash = 0; hash <= most; hash++) fail(watch, hash, 0);
    expect(take(watch).failures).toHaveLength(most);
    fail(watch, most, SECOND);
    expect(take(watch).failures.map(({ hash }) => hash)).toEqual([most]);
  });
});

describe("new clients", () => {
  test("are reported once, with the slowest answer of their first ten seconds", () => {
    const watch = new Watch("w");
    for (const [at, ms] of [
      [0, 20],
      [SECOND, 80],
      [11 * SECOND, 5_000],
    ] as const) {
      watch.answer(watch.begin(7, REFERENCE, at), ms, at);
    }
    watch.sweep(12 * SECOND, TIMEOUT);
    expect(take(watch).clients).toEqual([{ hash: 7, arm: "reference", ms: 80, ...SPLIT }]);
    watch.answer(watch.begin(7, REFERENCE, 60 * SECOND), 1, 60 * SECOND);
    watch.sweep(120 * SECOND, TIMEOUT);
    expect(take(watch).clients).toEqual([]);
  });

  test("are reported after the answers to those requests, or after the timeout", () => {
    const watch = new Watch("w");
    const slow = watch.begin(1, CANDIDATE, 0);
    watch.begin(2, CANDIDATE, 0);
    watch.sweep(20 * SECOND, TIMEOUT);
    expect(take(watch).clients).toEqual([]);
    watch.answer(slow, 25 * SECOND, 25 * SECOND);
    watch.sweep(TIMEOUT, TIMEOUT);
    expect(take(watch).clients.map(({ hash, ms }) => [hash, ms])).toEqual([
      [1, 25 * SECOND],
      [2, TIMEOUT],
    ]);
  });

  test("are reported anew in each stage, whose split has to be checked with all of its clients", () => {
    const watch = new Watch("w");
    const next = { arm: "candidate", split: { share: 0.5, percentage: 20 } } as const;
    visit(watch, 7, 0);
    watch.sweep(30 * SECOND, TIMEOUT);
    visit(watch, 7, 60 * SECOND, next);
    watch.sweep(120 * SECOND, TIMEOUT);
    expect(take(watch).clients.map(({ hash, percentage }) => [hash, percentage])).toEqual([
      [7, 10],
      [7, 20],
    ]);
  });

  test("are not reported of arms that are not compared", () => {
    const watch = new Watch("w");
    visit(watch, 1, 0, of("beside"));
    visit(watch, 2, 0, of("cohort"));
    watch.sweep(TIMEOUT, TIMEOUT);
    expect(take(watch).clients).toEqual([]);
  });
});

describe("reports", () => {
  test("are repeated until they have arrived, and what comes meanwhile waits", () => {
    const watch = new Watch("w");
    visit(watch, 1, 0);
    const first = watch.drain();
    visit(watch, 2, 0);
    expect(watch.drain()).toBe(first);
    watch.acknowledge(first as Observations);
    expect(watch.drain()).toMatchObject({ sender: "w", seq: 1, visits: [{ visits: 1 }] });
  });

  test("lose nothing and invent nothing, however often they are lost", () => {
    const request = fc.record({
      hash: fc.nat(50),
      step: fc.nat(5_000),
      fails: fc.boolean(),
      lost: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 300 }), (requests) => {
        const watch = new Watch("w");
        const failing = new Set<number>();
        const arrived = new Map<number, Observations>();
        let at = 0;
        for (const { hash, step, fails, lost } of requests) {
          at += step;
          if (fails) {
            failing.add(hash);
            fail(watch, hash, at);
          } else visit(watch, hash, at);
          watch.sweep(at, TIMEOUT);
          const report = watch.drain();
          if (report === undefined) continue;
          arrived.set(report.seq, report);
          if (!lost) watch.acknowledge(report);
        }
        watch.sweep(at + TIMEOUT, TIMEOUT);
        while (!watch.isIdle) {
          const report = take(watch);
          arrived.set(report.seq, report);
        }
        const all = [...arrived.values()];
        const failed = all.flatMap(({ failures }) => failures.map(({ hash }) => hash));
        const met = all.flatMap(({ clients }) => clients.map(({ hash }) => hash));
        const seen = [...new Set(requests.map(({ hash }) => hash))];
        expect(failed.sort()).toEqual([...failing].sort());
        expect(met.sort()).toEqual(seen.sort());
      }),
    );
  });

  test("stay bounded while none arrives", () => {
    const watch = new Watch("w");
    const most = LIMITS.rollouts.maxObservations;
    watch.drain();
    for (let hash = 0; hash < 3 * most; hash++) {
      fail(watch, hash, hash);
      watch.begin(hash, CANDIDATE, hash);
    }
    watch.sweep(10 * TIMEOUT, TIMEOUT);
    const { failures, clients } = take(watch);
    expect(failures.length).toBeLessThanOrEqual(most);
    expect(clients.length).toBeLessThanOrEqual(most);
  });

  test("there are none to wait for once everything has been said", () => {
    const watch = new Watch("w");
    visit(watch, 7, 0);
    expect(watch.isIdle).toBe(false);
    watch.sweep(TIMEOUT, TIMEOUT);
    take(watch);
    expect(watch.isIdle).toBe(true);
  });
});
