import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ClientSet } from "../../src/rollout/clients.ts";
import { isDrifting, NO_DRIFT, watchDrift } from "../../src/rollout/drift.ts";
import {
  bet,
  evidence,
  learnRatio,
  NEW_SHARE,
  NO_LIKELIHOOD,
  NO_STAKES,
  observeShare,
  placeStakes,
  ratioInterval,
  type Stakes,
  shareEvidence,
  STAKE_MS,
  type Tally,
} from "../../src/rollout/gate.ts";

const tally = (share: number, candidate: number, reference: number): Tally => ({
  share,
  candidate,
  reference,
});

/** Probability of k successes of n. */
function binomial(n: number, k: number, p: number): number {
  let probability = 1;
  for (let i = 0; i < k; i++) probability *= ((n - i) / (i + 1)) * p;
  return probability * (1 - p) ** (n - k);
}

const share = fc.double({ min: 0.001, max: 0.999, noNaN: true });
const looks = fc.array(fc.tuple(share, fc.nat(5), fc.nat(5), fc.nat(5)), { maxLength: 12 });

/** The stakes after some looks, minutes apart. */
function stakesAfter(history: readonly (readonly [number, number, number, number])[]): [Stakes, number] {
  let [stakes, minute]: [Stakes, number] = [placeStakes(NO_STAKES, 0), 0];
  for (const [at, c, r, minutes] of history) {
    minute += minutes;
    stakes = bet(placeStakes(stakes, minute * STAKE_MS), [tally(at, c, r)], 1);
  }
  return [stakes, minute];
}

describe("the evidence against a candidate", () => {
  test("is the same on average after a failure that the code has no part in, whatever came before and whatever the share", () => {
    fc.assert(
      fc.property(looks, share, fc.nat(10), (history, at, minutes) => {
        const [stakes, minute] = stakesAfter(history);
        const placed = placeStakes(stakes, (minute + minutes) * STAKE_MS);
        const candidate = evidence(bet(placed, [tally(at, 1, 0)], 1));
        const reference = evidence(bet(placed, [tally(at, 0, 1)], 1));
        const mean = at * candidate + (1 - at) * reference;
        expect(mean / evidence(stakes)).toBeCloseTo(1, 9);
      }),
    );
  });

  test("never grows on average while the candidate fails at most as often as the margin allows", () => {
    fc.assert(
      fc.property(
        share,
        fc.double({ min: 1, max: 5, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (at, margin, part) => {
          const stakes = placeStakes(NO_STAKES, 0);
          const ratio = margin * part;
          const probability = (ratio * at) / (ratio * at + 1 - at);
          const candidate = evidence(bet(stakes, [tally(at, 1, 0)], margin));
          const reference = evidence(bet(stakes, [tally(at, 0, 1)], margin));
          expect(probability * candidate + (1 - probability) * reference).toBeLessThanOrEqual(1 + 1e-9);
        },
      ),
    );
  });

  test("does not depend on how the failures of a minute are cut into looks", () => {
    const stakes = placeStakes(NO_STAKES, 0);
    const once = bet(stakes, [tally(0.1, 5, 5), tally(0.5, 3, 1)], 1);
    const parts = [tally(0.5, 1, 0), tally(0.1, 2, 5), tally(0.5, 2, 1), tally(0.1, 3, 0)];
    const often = parts.reduce((sum, part) => bet(sum, [part], 1), stakes);
    expect(evidence(often)).toBeCloseTo(evidence(once), 9);
  });

  test("has all of its stakes at any time: what is placed and what is not sum to 1", () => {
    for (const minutes of [0, 1, 59, 600, 100_000]) {
      expect(evidence(placeStakes(NO_STAKES, minutes * STAKE_MS))).toBeCloseTo(1, 9);
    }
  });

  test("grows within ten failures after a hundred hours in which both versions failed alike", () => {
    let stakes = NO_STAKES;
    for (let minute = 0; minute < 6_000; minute++) {
      stakes = bet(placeStakes(stakes, minute * STAKE_MS), [tally(0.5, 1, 1)], 1);
    }
    expect(evidence(stakes)).toBeLessThan(1);
    stakes = placeStakes(stakes, 6_000 * STAKE_MS);
    expect(evidence(bet(stakes, [tally(0.1, 20, 0)], 1))).toBeGreaterThan(125);
  });

  test("is finite after any number of failures", () => {
    const stakes = bet(placeStakes(NO_STAKES, 0), [tally(0.01, 100_000, 0)], 1);
    expect(Number.isFinite(evidence(stakes))).toBe(true);
    expect(evidence(stakes)).toBeGreaterThan(1e100);
  });

  test("is kept through JSON", () => {
    const [stakes] = stakesAfter([[0.3, 2, 1, 4]]);
    expect(JSON.parse(JSON.stringify(stakes))).toEqual(stakes);
    expect(JSON.parse(JSON.stringify(NO_STAKES))).toEqual(NO_STAKES);
  });
});

describe("the interval of the ratio", () => {
  test("holds every ratio before the first failure, and narrows around the true one", () => {
    expect(ratioInterval(NO_LIKELIHOOD)).toEqual({ from: null, to: null });
    const { from, to } = ratioInterval(learnRatio(NO_LIKELIHOOD, [tally(0.5, 300, 100)]));
    expect(from).toBeGreaterThan(2);
    expect(from).toBeLessThan(3);
    expect(to).toBeGreaterThan(3);
    expect(to).toBeLessThan(5);
  });

  test("is open above when only the candidate fails, and below when only the reference does", () => {
    expect(ratioInterval(learnRatio(NO_LIKELIHOOD, [tally(0.5, 30, 0)])).to).toBeNull();
    expect(ratioInterval(learnRatio(NO_LIKELIHOOD, [tally(0.5, 0, 30)])).from).toBeNull();
  });
});

describe("the check of the shares", () => {
  test("never grows on average while clients come as configured, and finds a share that is not", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 30 }), share, (n, at) => {
        let mean = 0;
        for (let c = 0; c <= n; c++) {
          mean += binomial(n, c, at) * shareEvidence(observeShare(NEW_SHARE, [tally(at, c, n - c)]));
        }
        expect(mean).toBeLessThanOrEqual(1 + 1e-9);
      }),
    );
    const of = (candidate: number) =>
      shareEvidence(observeShare(NEW_SHARE, [tally(0.1, candidate, 1_000 - candidate)]));
    expect(of(100)).toBeLessThan(10);
    expect(of(200)).toBeGreaterThan(1_000);
    expect(of(40)).toBeGreaterThan(1_000);
  });
});

describe("drift", () => {
  test("is silent at the rate of the past, loud at six times of it, and over when that is over", () => {
    let drift = NO_DRIFT;
    for (let i = 0; i < 1_000; i++) drift = watchDrift(drift, 100, 1);
    expect(isDrifting(drift)).toBe(false);
    for (let i = 0; i < 20; i++) drift = watchDrift(drift, 100, 6);
    expect(isDrifting(drift)).toBe(true);
    for (let i = 0; i < 20; i++) drift = watchDrift(drift, 100, 1);
    expect(isDrifting(drift)).toBe(false);
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
