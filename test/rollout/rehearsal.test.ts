import { describe, expect, test } from "vitest";
import { CALM, type Outcome, type World } from "../../src/rollout/model.ts";
import { makePlan, type PlanInput } from "../../src/rollout/plan.ts";
import { rehearse } from "../../src/rollout/rehearsal.ts";
import { Agenda, type Random, seeded, VISITORS } from "../../src/rollout/simulate.ts";
import { rehearseVisitors } from "../../src/rollout/visitors.ts";

const planOf = (input: PlanInput) => {
  const plan = makePlan(input);
  if (!plan.ok) throw new Error(plan.error);
  return plan.value;
};

const PLAN = planOf({ stages: [{ percentage: 10, soak_seconds: 3_600 }] });
const NEVER_SLOW = [1_000];

const worldOf = (change: Partial<World>): World => ({
  ...CALM,
  plan: PLAN,
  traffic: { ...VISITORS, arrivals: () => 20 },
  slow_ms: NEVER_SLOW,
  limit: 3_000,
  stable: ({ random }) => ({ ms: 1, failure: random() < 0.01 ? "status" : null }),
  candidate: ({ random }) => ({ ms: 1, failure: random() < 0.1 ? "status" : null }),
  ...change,
});

/** Means of 60 runs: seconds, failures of the candidate, visits of the others. */
const means = (run: (random: Random) => Outcome) => {
  const outcomes = Array.from({ length: 60 }, (_, i) => run(seeded(i + 1)));
  const mean = (of: (outcome: Outcome) => number) =>
    outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / outcomes.length;
  return [
    mean(({ seconds }) => seconds),
    mean(({ rollout }) => rollout.evidence.total.candidate.failures),
    mean(({ rollout }) => rollout.evidence.total.beside.exposures),
  ];
};

describe("a simulated rollout", () => {
  test("is the same for clients who come once, whether it is drawn by request or by second", () => {
    const rates = { perSecond: 20, stable: 0.01, candidate: 0.1 };
    const fast = means((random) => rehearseVisitors(PLAN, rates, 3_000, random));
    const full = means((random) => rehearse(worldOf({}), random));
    for (const [i, each] of fast.entries()) {
      expect(each / (full[i] as number)).toBeGreaterThan(0.85);
      expect(each / (full[i] as number)).toBeLessThan(1.15);
    }
  });

  test("is the same again with the same seed", () => {
    expect(rehearse(worldOf({}), seeded(5))).toEqual(rehearse(worldOf({}), seeded(5)));
  });

  test("replays a log, in which each client has its version and the candidate fails where the log did", () => {
    const log = Array.from({ length: 6_000 }, (_, i) => ({
      key: `user-${i % 2_000}`,
      failed: i % 2_000 < 100,
      time: i / 20,
    }));
    const version: World["candidate"] = ({ failed }) => ({ ms: 1, failure: failed ? "status" : null });
    const world = worldOf({
      traffic: { ...VISITORS, arrivals: () => 0, log },
      stable: version,
      candidate: version,
      limit: 300,
    });
    const { phase, evidence } = rehearse(world, seeded(9)).rollout;
    const { candidate, reference, beside } = evidence.total;
    expect(phase).toBe("running");
    expect(candidate.failures + reference.failures + beside.failures).toBe(100);
    expect(candidate.exposures + reference.exposures + beside.exposures).toBe(6_000);
  });

  test("goes on while a registry starts again and a process ends, and counts nobody twice", () => {
    const regulars = { ...VISITORS, arrivals: () => 0, regulars: 300, pause: () => 5 };
    const world = worldOf({
      traffic: regulars,
      lags: [0, 30],
      crashes: 20,
      restarts: [50.5, 100.5],
      limit: 300,
      candidate: () => ({ ms: 1, failure: "status" }),
      stable: () => ({ ms: 1, failure: "status" }),
    });
    const { total } = rehearse(world, seeded(2)).rollout.evidence;
    const failures = Object.values(total).reduce((sum, arm) => sum + arm.failures, 0);
    expect(failures).toBeGreaterThan(250);
    expect(failures).toBeLessThanOrEqual(300);
  });
});

test("an agenda gives what is next, whatever the order in which it was told", () => {
  const agenda = new Agenda<number>();
  const random = seeded(1);
  const times = Array.from({ length: 500 }, () => Math.floor(random() * 100));
  for (const time of times) agenda.add(time, time);
  const taken: (number | undefined)[] = [];
  while (agenda.next < Infinity) taken.push(agenda.take());
  expect(taken).toEqual(times.sort((x, y) => x - y));
});
