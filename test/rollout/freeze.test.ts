/** Freeze windows: in which hours no stage begins, in the time zone of whoever sleeps then. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkWindow, type FreezeWindow, frozenUntil } from "../../src/rollout/freeze.ts";
import { makePlan } from "../../src/rollout/plan.ts";
import { Rollouts } from "../../src/rollout/runner.ts";
import type { RolloutEvent, Side } from "../../src/rollout/types.ts";
import { openSqlite } from "../support/sqlite.ts";

const WEEKEND: FreezeWindow = { cron: "0 18 * * 5", hours: 62, timezone: "Europe/Berlin" };
const until = (windows: readonly FreezeWindow[], now: string): string | undefined => {
  const time = frozenUntil(windows, Date.parse(now));
  return time === undefined ? undefined : new Date(time).toISOString();
};

describe("a window", () => {
  test("is open from its beginning up to its end, which is not part of it", () => {
    expect(until([WEEKEND], "2026-12-04T16:59:59.999Z")).toBeUndefined();
    for (const now of ["2026-12-04T17:00:00Z", "2026-12-06T12:00:00Z", "2026-12-07T06:59:59.999Z"]) {
      expect(until([WEEKEND], now)).toBe("2026-12-07T07:00:00.000Z");
    }
    expect(until([WEEKEND], "2026-12-07T07:00:00Z")).toBeUndefined();
  });

  test("begins by the clock of its time zone, in summer and in winter", () => {
    expect(until([WEEKEND], "2026-07-03T15:59:59Z")).toBeUndefined();
    expect(until([WEEKEND], "2026-07-03T16:00:00Z")).toBe("2026-07-06T06:00:00.000Z");
    expect(until([{ ...WEEKEND, timezone: "Asia/Kathmandu" }], "2026-12-04T12:15:00Z")).toBe(
      "2026-12-07T02:15:00.000Z",
    );
  });

  test("lasts as many hours as it says where clocks are changed meanwhile", () => {
    expect(until([WEEKEND], "2026-03-28T12:00:00Z")).toBe("2026-03-30T07:00:00.000Z");
    expect(until([WEEKEND], "2026-10-24T12:00:00Z")).toBe("2026-10-26T06:00:00.000Z");
  });

  test("begins as well on the day on which its time of day is skipped or comes twice", () => {
    const night: FreezeWindow = { cron: "30 2 * * *", hours: 1, timezone: "Europe/Berlin" };
    expect(until([night], "2026-03-29T01:30:00Z")).toBe("2026-03-29T02:00:00.000Z");
    expect(until([night], "2026-10-25T01:00:00Z")).toBe("2026-10-25T01:30:00.000Z");
  });

  test("can be two weeks long", () => {
    const holidays: FreezeWindow = { cron: "0 0 20 12 *", hours: 336, timezone: "UTC" };
    expect(until([holidays], "2026-12-19T23:59:59Z")).toBeUndefined();
    expect(until([holidays], "2027-01-02T23:59:59Z")).toBe("2027-01-03T00:00:00.000Z");
    expect(until([holidays], "2027-01-03T00:00:00Z")).toBeUndefined();
  });
});

describe("several windows", () => {
  const night = (hour: number, hours: number): FreezeWindow => ({
    cron: `0 ${hour} * * *`,
    hours,
    timezone: "UTC",
  });

  test("that overlap or follow each other end together", () => {
    expect(until([night(20, 4), night(22, 6)], "2026-12-01T20:30:00Z")).toBe("2026-12-02T04:00:00.000Z");
    expect(until([night(22, 6), night(20, 2)], "2026-12-01T20:30:00Z")).toBe("2026-12-02T04:00:00.000Z");
    expect(until([night(10, 1), night(22, 6)], "2026-12-01T10:30:00Z")).toBe("2026-12-01T11:00:00.000Z");
  });

  test("the longer one of which began earlier last as long as that one", () => {
    expect(until([night(20, 1), night(12, 12)], "2026-12-01T20:30:00Z")).toBe("2026-12-02T00:00:00.000Z");
  });

  test("that leave no time free say so for the near future, and not for ever", () => {
    const time = until([{ cron: "* * * * *", hours: 1, timezone: "UTC" }], "2026-12-01T00:00:00Z");
    expect(Date.parse(time ?? "")).toBeGreaterThan(Date.parse("2026-12-01T10:00:00Z"));
  });

  test("that are none freeze nothing", () => {
    expect(until([], "2026-12-04T17:00:00Z")).toBeUndefined();
  });

  test("are open at each moment before the end that is given, and at the end no more", () => {
    const window = fc.record({
      cron: fc.constantFrom("0 18 * * 5", "30 2 * * *", "0 0 1 * *", "15 9-17/4 * * 1-5"),
      hours: fc.constantFrom(0.5, 3, 20, 100),
      timezone: fc.constantFrom("UTC", "Europe/Berlin", "America/New_York"),
    });
    const time = fc.integer({ min: Date.parse("2026-01-01"), max: Date.parse("2028-01-01") });
    fc.assert(
      fc.property(
        fc.array(window, { maxLength: 2 }),
        time,
        fc.double({ min: 0, max: 1 }),
        (all, now, part) => {
          const end = frozenUntil(all, now);
          if (end === undefined) return;
          expect(end).toBeGreaterThan(now);
          const between = Math.min(Math.floor(now + (end - now) * (part || 0)), end - 1);
          expect(frozenUntil(all, between)).toBeGreaterThanOrEqual(end);
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("a window that nobody can have meant is refused", () => {
  test.each<[Partial<FreezeWindow>, string]>([
    [{ hours: 0 }, "lasts 0 hours"],
    [{ hours: 337 }, "lasts 337 hours"],
    [{ hours: Number.NaN }, "lasts NaN hours"],
    [{ cron: "0 18 * *" }, "five fields"],
    [{ cron: "@daily" }, "five fields"],
    [{ cron: "61 18 * * 5" }, "Invalid value for minute: 61"],
    [{ cron: "0 0 30 2 *" }, "never begins"],
    [{ timezone: "Mars/Olympus" }, 'time zone "Mars/Olympus"'],
  ])("%o", (change, why) => {
    expect(checkWindow({ ...WEEKEND, ...change })).toContain(why);
  });

  test("and others are not", () => {
    expect(checkWindow(WEEKEND)).toBeUndefined();
  });
});

describe("a rollout in a freeze window", () => {
  const WHO = { id: "anna", email: "anna@example.com" };
  const open = Date.parse("2026-12-04T17:00:00Z");
  const end = Date.parse("2026-12-07T07:00:00Z");

  /** A rollout whose first stage is over shortly after the window has opened. */
  function frozen() {
    const plan = makePlan({
      stages: [{ percentage: 10, soak_seconds: 60, min_exposures: 1 }, { percentage: 50 }],
      gates: { latency: false },
      freeze: [WEEKEND],
    });
    if (!plan.ok) throw new Error(plan.error);
    const clock = { now: open - 30_000 };
    const rollouts = new Rollouts(openSqlite(), () => clock.now);
    const apply = (event: RolloutEvent, rollout = rollouts.active()) => {
      if (rollout === undefined) throw new Error("it has ended");
      return rollouts.apply(rollout, event, WHO, () => "deployment");
    };
    const [candidate, stable] = [2, 1].map((number) => ({ version_id: `v${number}`, number })) as [
      Side,
      Side,
    ];
    const made = rollouts.make({ candidate, stable, plan: plan.value, author: WHO });
    apply({ type: "start" }, made);
    const split = { share: 0.5, percentage: 10 };
    rollouts.observe(made.id, {
      sender: "router",
      seq: 0,
      visits: [{ ...split, arm: "candidate", visits: 5 }],
      failures: [],
      clients: [],
    });
    clock.now = open + 60_000;
    const look = () => apply(rollouts.takeLook(rollouts.active() ?? made));
    look();
    return { rollouts, clock, apply, look, now: () => rollouts.get(made.id) };
  }

  test("begins no stage until the window ends, and looks again then", () => {
    const { rollouts, clock, look, now } = frozen();
    expect(now()).toMatchObject({ stage: 0, phase: "holding", waiting: "window" });
    expect(now()?.reason).toContain("2026-12-07T07:00:00.000Z");
    expect(rollouts.nextLook()).toBe(end);
    clock.now = end;
    look();
    expect(now()).toMatchObject({ stage: 1, phase: "running" });
  });

  test.each(["approve", "promote"] as const)("goes on where an operator says %s", (type) => {
    const { apply, now } = frozen();
    expect(apply({ type }).ok).toBe(true);
    expect(now()).toMatchObject(type === "approve" ? { stage: 1, phase: "running" } : { phase: "promoted" });
  });
});
