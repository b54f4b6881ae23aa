/** The gate against traffic whose truth is known. Seeded: a run that fails can be had again. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HARMS, type Harm, harmedWorldOf, STEADY } from "../../scripts/gates/harms.ts";
import { NULLS, type Null, worldOf } from "../../scripts/gates/nulls.ts";
import { waldLimit } from "../../scripts/gates/statistics.ts";
import { isDrifting, NO_DRIFT, watchDrift } from "../../src/rollout/drift.ts";
import {
  BETS,
  bet,
  evidence,
  learnRatio,
  NO_LIKELIHOOD,
  NO_STAKES,
  placeStakes,
  ratioInterval,
  STAKE_MS,
  type Tally,
} from "../../src/rollout/gate.ts";
import { rehearse } from "../../src/rollout/rehearsal.ts";
import { poisson, type Random, seeded } from "../../src/rollout/simulate.ts";

const ALPHA = 0.01;

const one = (share: number, isCandidate: boolean): Tally => ({
  share,
  candidate: isCandidate ? 1 : 0,
  reference: isCandidate ? 0 : 1,
});

describe("the bets of the gate", () => {
  const share = fc.double({ min: 0.001, max: 0.999, noNaN: true });
  const tallies = fc.array(
    fc.record({ share: fc.constantFrom(0.1, 0.5, 0.7), candidate: fc.nat(9), reference: fc.nat(9) }),
    { maxLength: 8 },
  );

  test("neither grow nor shrink on average with a failure of a candidate that makes no difference", () => {
    fc.assert(
      fc.property(share, fc.integer({ min: 0, max: 600 }), (share, minutes) => {
        const stakes = placeStakes(NO_STAKES, minutes * STAKE_MS);
        const failing = (isCandidate: boolean) => bet(stakes, [one(share, isCandidate)], 1);
        const mean = share * evidence(failing(true)) + (1 - share) * evidence(failing(false));
        expect(mean).toBeCloseTo(evidence(stakes), 9);
        for (const [i, log] of stakes.wealth.entries()) {
          const wealth = (isCandidate: boolean) => Math.exp(failing(isCandidate).wealth[i] ?? 0);
          expect(share * wealth(true) + (1 - share) * wealth(false)).toBeCloseTo(Math.exp(log ?? 0), 9);
        }
      }),
    );
  });

  test("are worth exactly 1 at any time before the first failure", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20_000_000 }), { maxLength: 20 }), (times) => {
        const stakes = times.sort((x, y) => x - y).reduce(placeStakes, NO_STAKES);
        expect(evidence(stakes)).toBeCloseTo(1, 9);
        expect(stakes.wealth).toHaveLength(BETS.length);
      }),
    );
  });

  test("do not depend on the order or the batches of the failures between two stakes", () => {
    fc.assert(
      fc.property(tallies, (all) => {
        const stakes = placeStakes(NO_STAKES, 0);
        const singly = all.reduceRight((state, tally) => bet(state, [tally], 1), stakes);
        expect(evidence(bet(stakes, all, 1)) / evidence(singly)).toBeCloseTo(1, 9);
      }),
    );
  });
});

test("the intervals of the ratio hold the true one in at least 95% of rollouts, at every one of 300 looks", () => {
  let missed = 0;
  for (let run = 0; run < 100; run++) {
    const random = seeded(run * 7_919 + 5);
    const ratio = [0.5, 1, 2, 10][run % 4] as number;
    let likelihood = NO_LIKELIHOOD;
    let isMissed = false;
    for (let i = 0; i < 300 && !isMissed; i++) {
      const share = random() < 0.5 ? 0.5 : 0.1;
      const candidate = (ratio * share) / (ratio * share + 1 - share);
      likelihood = learnRatio(likelihood, [one(share, random() < candidate)]);
      const { from, to } = ratioInterval(likelihood);
      // The interval's ends are on a grid.
      isMissed = (from ?? 0) > ratio * 2 ** (1 / 8) || (to ?? 1_000) < ratio / 2 ** (1 / 8);
    }
    if (isMissed) missed++;
  }
  expect(missed / 100).toBeLessThanOrEqual(0.05);
});

test("a version that fails as often as ever is found to drift in at most 2% of hours, and five times as often within a minute", () => {
  let alarms = 0;
  for (let run = 0; run < 100; run++) {
    const random = seeded(run);
    let drift = NO_DRIFT;
    const pass = (rate: number) => {
      const visits = poisson(50, random);
      drift = watchDrift(drift, visits, poisson(visits * rate, random));
      return isDrifting(drift);
    };
    let isAlarmed = false;
    for (let second = 0; second < 3_600; second++) isAlarmed ||= pass(0.02);
    if (isAlarmed) alarms++;
    else expect(Array.from({ length: 60 }, () => pass(0.1)).at(-1)).toBe(true);
  }
  expect(alarms).toBeLessThanOrEqual(2);
});

const named = <Row extends { readonly name: string }>(rows: readonly Row[], part: string): Row => {
  const row = rows.find(({ name }) => name.includes(part));
  if (row === undefined) throw new Error(`There is no row with "${part}".`);
  return row;
};

const rollbacks = (row: Null, reference: "baseline" | "stable", runs: number) => {
  let count = 0;
  for (let run = 0; run < runs; run++) {
    const random: Random = seeded(run * 7_919 + 1);
    if (rehearse(worldOf(row, reference, random), random).rollout.phase === "rolled_back") count++;
  }
  return count;
};

describe("a candidate that is no worse is seldom rolled back", () => {
  test.each([
    "identical code, 30%",
    "outage of 90% for 90 s right after a ramp",
    "timeouts across a ramp",
    "cache in the isolate",
    "cold isolate",
    "60 regular users",
    "a cohort that fails often",
    "registry starts again",
    "paused and resumed",
  ])("in a world with: %s", (part) => {
    // More than two of forty have a probability below 1% where each has one of 1%.
    expect(rollbacks(named(NULLS, part), "baseline", 40)).toBeLessThanOrEqual(2);
  });

  test("and only a baseline makes up for a candidate whose isolate is younger", () => {
    expect(rollbacks(named(NULLS, "cold isolate"), "stable", 10)).toBeGreaterThanOrEqual(9);
  });

  test("and its rollout ends: with 5,000 regular users, who all move between the arms, it is promoted", () => {
    const random = seeded(3);
    const { rollout } = rehearse(worldOf(named(NULLS, "5,000 regular users"), "baseline", random), random);
    expect([rollout.phase, rollout.reason]).toEqual(["promoted", "every stage passed"]);
  });
});

describe("a candidate that is worse is rolled back", () => {
  const times = (harm: Harm, runs: number) =>
    Array.from({ length: runs }, (_, run) => {
      const { rollout, seconds } = rehearse(harmedWorldOf(harm, "baseline"), seeded(run + 31));
      expect(rollout.phase).toBe("rolled_back");
      const { candidate, reference } = rollout.evidence.total;
      return { seconds: seconds - harm.onset, failures: candidate.failures + reference.failures };
    });
  const mean = (numbers: number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

  test.each([
    ["0.5% → 5%, one answer", 1.5],
    ["0.5% → 5%, 10 answers", 2],
  ] as const)(
    "after about as many failures as Wald's limit: %s per client, at most %f times",
    (part, most) => {
      const harm = named(STEADY, part);
      const found = mean(times(harm, 60).map(({ failures }) => failures));
      expect(found / waldLimit(harm, "baseline", ALPHA).failures).toBeLessThanOrEqual(most);
    },
  );

  test.each([
    ["POST, one of ten", 300],
    ["one page of five", 600],
    ["only a client's fifth request", 300],
    ["5,000 regular users", 600],
    ["leak", 120],
    ["its process ends", 300],
    ["all answers twice as slow", 300],
    ["only the slowest 2%", 600],
  ] as const)("%s, within %i s", (part, most) => {
    expect(Math.max(...times(named(HARMS, part), 3).map(({ seconds }) => seconds))).toBeLessThanOrEqual(most);
  });
});
