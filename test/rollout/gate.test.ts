import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClientSet } from "../../src/rollout/clients.ts";
import {
  evidence,
  goodness,
  type Interval,
  type MetricOptions,
  NEW_METRIC,
  NEW_SHARE,
  observe,
  observeShare,
  shareEvidence,
} from "../../src/rollout/gate.ts";

const OPTIONS: MetricOptions = { alpha: 0.01, margin: 1, tolerance: 2 };
const interval = (ce: number, cf: number, se: number, sf: number): Interval => ({
  candidate: { exposures: ce, failures: cf },
  stable: { exposures: se, failures: sf },
});

/** Probability of k successes of n. */
function binomial(n: number, k: number, p: number): number {
  let probability = 1;
  for (let i = 0; i < k; i++) probability *= ((n - i) / (i + 1)) * p;
  return probability * (1 - p) ** (n - k);
}

/** The mean of something over all outcomes of an interval. */
function expectation(
  c: number,
  s: number,
  pc: number,
  ps: number,
  of: (outcome: Interval) => number,
): number {
  let sum = 0;
  for (let fc = 0; fc <= c; fc++) {
    for (let fs = 0; fs <= s; fs++)
      sum += binomial(c, fc, pc) * binomial(s, fs, ps) * of(interval(c, fc, s, fs));
  }
  return sum;
}

const count = fc.integer({ min: 0, max: 12 });
const probability = fc.double({ min: 0, max: 1, noNaN: true });

describe("the evidence against a candidate", () => {
  test("never grows on average while the candidate fails no more often, whatever the rate and the share", () => {
    fc.assert(
      fc.property(count, count, probability, probability, (c, s, ps, part) => {
        const mean = expectation(c, s, ps * part, ps, (outcome) =>
          evidence(observe(NEW_METRIC, outcome, OPTIONS)),
        );
        expect(mean).toBeLessThanOrEqual(1 + 1e-9);
      }),
    );
  });

  test("never grows on average within the margin either", () => {
    fc.assert(
      fc.property(
        count,
        count,
        probability,
        fc.double({ min: 1, max: 3, noNaN: true }),
        (c, s, ps, margin) => {
          const pc = Math.min(ps * margin, 1);
          const mean = expectation(c, s, pc, ps, (outcome) =>
            evidence(observe(NEW_METRIC, outcome, { ...OPTIONS, margin })),
          );
          expect(mean).toBeLessThanOrEqual(1 + 1e-9);
        },
      ),
    );
  });

  test("for its being good enough never grows on average while it is at least twice as bad", () => {
    fc.assert(
      fc.property(count, count, fc.double({ min: 0, max: 0.5, noNaN: true }), (c, s, ps) => {
        const mean = expectation(c, s, ps * 2, ps, (outcome) =>
          goodness(observe(NEW_METRIC, outcome, OPTIONS)),
        );
        expect(mean).toBeLessThanOrEqual(1 + 1e-9);
      }),
    );
  });

  test("does not depend on how the same outcomes are cut into looks of the same share", () => {
    const once = observe(NEW_METRIC, interval(10, 4, 90, 6), OPTIONS);
    const twice = observe(
      observe(NEW_METRIC, interval(5, 3, 45, 2), OPTIONS),
      interval(5, 1, 45, 4),
      OPTIONS,
    );
    expect(evidence(once)).toBeCloseTo(evidence(twice), 9);
  });

  test("is absent without clients, and without failures", () => {
    expect(observe(NEW_METRIC, interval(0, 0, 0, 0), OPTIONS)).toBe(NEW_METRIC);
    expect(observe(NEW_METRIC, interval(1_000, 0, 9_000, 0), OPTIONS)).toBe(NEW_METRIC);
    expect(evidence(NEW_METRIC)).toBe(1);
  });

  test("is finite after any number of failures", () => {
    let state = NEW_METRIC;
    for (let i = 0; i < 2_000; i++) state = observe(state, interval(100, 100, 100, 0), OPTIONS);
    expect(Number.isFinite(evidence(state))).toBe(true);
    expect(evidence(state)).toBeGreaterThan(1e100);
  });
});

describe("the check of the shares", () => {
  test("never grows on average while clients come as configured, and finds a share that is not", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 30 }),
        fc.double({ min: 0.001, max: 0.999, noNaN: true }),
        (n, share) => {
          let mean = 0;
          for (let c = 0; c <= n; c++) {
            mean +=
              binomial(n, c, share) * shareEvidence(observeShare(NEW_SHARE, interval(c, 0, n - c, 0), share));
          }
          expect(mean).toBeLessThanOrEqual(1 + 1e-9);
        },
      ),
    );
    expect(shareEvidence(observeShare(NEW_SHARE, interval(100, 0, 900, 0), 0.1))).toBeLessThan(10);
    expect(shareEvidence(observeShare(NEW_SHARE, interval(200, 0, 800, 0), 0.1))).toBeGreaterThan(1_000);
    expect(shareEvidence(observeShare(NEW_SHARE, interval(40, 0, 960, 0), 0.1))).toBeGreaterThan(1_000);
  });
});

describe("clients", () => {
  test("count once, however often they come", () => {
    const clients = new ClientSet(1_000);
    expect([clients.admit(7), clients.admit(7), clients.admit(8), clients.admit(7)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test("take bounded memory, are sampled by their hash beyond it, and are known again after a restart", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(2 ** 32 - 1), { maxLength: 400 }),
        fc.integer({ min: 1, max: 50 }),
        (hashes, size) => {
          const clients = new ClientSet(size);
          for (const hash of hashes) clients.admit(hash);
          expect(clients.size).toBeLessThanOrEqual(size);
          const { hashes: kept, limit } = clients.dump();
          const again = new ClientSet(size, kept, limit);
          for (const hash of hashes) expect(again.admit(hash)).toBe(false);
        },
      ),
    );
  });
});
