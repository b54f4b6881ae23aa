/** The controller as operators, gates, other deployments and crashes treat it: any sequence of them. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Interval } from "../../src/rollout/gate.ts";
import { makePlan } from "../../src/rollout/plan.ts";
import { GATE, Rollouts } from "../../src/rollout/runner.ts";
import { step } from "../../src/rollout/step.ts";
import {
  type Plan,
  type Rollout,
  type RolloutCommand,
  type RolloutEvent,
  TERMINAL,
} from "../../src/rollout/types.ts";
import { openSqlite } from "../support/sqlite.ts";

const WHO = { id: "anna", email: "anna@example.com" };
const STABLE = { version_id: "stable", number: 1 };
const CANDIDATE = { version_id: "candidate", number: 2 };

const plan = (change: Parameters<typeof makePlan>[0] = {}): Plan => {
  const made = makePlan({
    stages: [
      { percentage: 10, soak_seconds: 60, min_exposures: 50 },
      { percentage: 50, soak_seconds: 60, min_exposures: 50, approval: "manual" },
      { percentage: 100 },
    ],
    ...change,
  });
  if (!made.ok) throw new Error(made.error);
  return made.value;
};

const none: Interval = { candidate: { exposures: 0, failures: 0 }, stable: { exposures: 0, failures: 0 } };
const healthy: Interval = {
  candidate: { exposures: 60, failures: 0 },
  stable: { exposures: 540, failures: 1 },
};
const failing: Interval = {
  candidate: { exposures: 60, failures: 40 },
  stable: { exposures: 540, failures: 1 },
};
const lopsided: Interval = {
  candidate: { exposures: 500, failures: 0 },
  stable: { exposures: 100, failures: 0 },
};

/** What the registry does with a controller: commits, deployments, restarts. */
class World {
  readonly sql = openSqlite();
  now = 1_000_000;
  rollouts = new Rollouts(this.sql, () => this.now);
  /** Share of the candidate in the active deployment, and whose it is. */
  active: { share: number; by: string } = { share: 0, by: "first" };
  readonly deployments: string[] = [];

  crash(): void {
    this.rollouts = new Rollouts(this.sql, () => this.now);
  }

  start(given = plan()): Rollout | undefined {
    // As the registry: one at a time, and a candidate that has everything already is none.
    if (this.rollouts.active() !== undefined || this.active.share === 100) return undefined;
    const rollout = this.rollouts.make(CANDIDATE, STABLE, given, WHO);
    return this.apply(rollout, { type: "start" });
  }

  apply(rollout: Rollout, event: RolloutEvent): Rollout | undefined {
    const applied = this.rollouts.apply(rollout, event, event.type === "look" ? GATE : WHO, (_, share) => {
      const id = `deployment-${this.deployments.length}`;
      this.deployments.push(id);
      this.active = { share, by: id };
      return id;
    });
    return applied.ok ? applied.value.rollout : undefined;
  }

  look(interval: Interval): void {
    const rollout = this.rollouts.active();
    if (rollout === undefined) return;
    this.apply(rollout, {
      type: "look",
      interval: { errors: interval, latency: none },
      stage: rollout.stage,
      shared: interval,
      slow_ms: null,
    });
  }

  command(type: RolloutCommand): Rollout | undefined {
    const [newest] = this.rollouts.list();
    return newest && this.apply(newest, { type });
  }

  deployOutside(): void {
    this.active = { share: 0, by: "outside" };
    const rollout = this.rollouts.active();
    if (rollout !== undefined) this.apply(rollout, { type: "taken_over", by: "outside" });
  }

  get phase(): string {
    return this.rollouts.list()[0]?.phase ?? "none";
  }
}

type Action = (world: World) => void;

const ACTIONS: Readonly<Record<string, Action>> = {
  start: (world) => void world.start(),
  "start to hold": (world) => void world.start(plan({ on_fail: "hold" })),
  "look at nothing": (world) => world.look(none),
  "look at health": (world) => world.look(healthy),
  "look at failures": (world) => world.look(failing),
  "look at wrong shares": (world) => world.look(lopsided),
  pause: (world) => void world.command("pause"),
  resume: (world) => void world.command("resume"),
  approve: (world) => void world.command("approve"),
  promote: (world) => void world.command("promote"),
  abort: (world) => void world.command("abort"),
  "deploy from outside": (world) => world.deployOutside(),
  crash: (world) => world.crash(),
  "wait a second": (world) => {
    world.now += 1_000;
  },
  "wait a minute": (world) => {
    world.now += 61_000;
  },
  "set the clock back": (world) => {
    world.now -= 500_000;
  },
};

function check(world: World, before: ReadonlyMap<string, Rollout>): void {
  const rollouts = world.rollouts.list();
  const running = rollouts.filter(({ phase }) => !TERMINAL.has(phase));
  expect(running.length).toBeLessThanOrEqual(1);
  expect(world.rollouts.active()).toEqual(running[0]);
  const explained = new Set<string>();
  for (const rollout of rollouts) {
    const was = before.get(rollout.id);
    // What has ended stays as it ended.
    if (was !== undefined && TERMINAL.has(was.phase)) expect(rollout).toEqual(was);
    const trail = world.rollouts.trail(rollout.id);
    expect(trail.at(-1)?.after.phase).toBe(rollout.phase);
    expect(trail[0]?.event).toEqual({ type: "start" });
    for (const { event, time, before: from, after, deployment_id } of trail) {
      // The same event at the same time comes to the same.
      const again = step(from, event, time);
      expect(again.ok && again.value.rollout).toEqual(after);
      expect(again.ok && again.value.deploy !== null).toBe(deployment_id !== null);
      if (deployment_id !== null) explained.add(deployment_id);
    }
  }
  expect([...explained].sort()).toEqual([...world.deployments].sort());
  const [current] = running;
  if (current !== undefined) {
    expect(world.active.share).toBe(current.plan.stages[current.stage]?.percentage);
    expect(world.active.by).not.toBe("outside");
  }
}

describe("a rollout", () => {
  test("survives any sequence of operators, gates, deployments, crashes and clocks: one is active at most, what has ended stays so, and the trail explains every deployment and gives every decision again", () => {
    const actions = fc.array(fc.constantFrom(...Object.keys(ACTIONS)), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(actions, (names) => {
        const world = new World();
        for (const name of names) {
          const before = new Map(world.rollouts.list().map((rollout) => [rollout.id, rollout]));
          ACTIONS[name]?.(world);
          check(world, before);
        }
      }),
      { numRuns: 400 },
    );
  });

  const started = (given = plan()): World => {
    const world = new World();
    world.start(given);
    return world;
  };
  const soak = (world: World, interval: Interval = healthy) => {
    world.look(interval);
    world.now += 61_000;
    world.look(none);
  };

  test("goes through its stages on evidence and time, asks where it has to, and promotes", () => {
    const world = started();
    expect([world.phase, world.active.share]).toEqual(["running", 10]);
    world.look(healthy);
    expect(world.active.share).toBe(10);
    soak(world);
    expect([world.phase, world.active.share]).toEqual(["running", 50]);
    soak(world, { candidate: { exposures: 60, failures: 0 }, stable: { exposures: 60, failures: 0 } });
    expect([world.phase, world.active.share]).toEqual(["awaiting_approval", 50]);
    world.command("approve");
    expect([world.phase, world.active.share]).toEqual(["promoted", 100]);
  });

  test("rolls back at once when the candidate fails, also while it is paused or waits for approval", () => {
    for (const prepare of [
      () => {},
      (world: World) => void world.command("pause"),
      (world: World) => {
        soak(world);
        soak(world, { candidate: { exposures: 60, failures: 0 }, stable: { exposures: 60, failures: 0 } });
      },
    ]) {
      const world = started();
      prepare(world);
      world.look(failing);
      expect([world.phase, world.active.share]).toEqual(["rolled_back", 0]);
    }
  });

  test("is not rolled back by an outage that hits both versions after a stage with few clients of the candidate", () => {
    const world = started();
    soak(world, { candidate: { exposures: 60, failures: 0 }, stable: { exposures: 540, failures: 0 } });
    expect(world.active.share).toBe(50);
    world.look({ candidate: { exposures: 100, failures: 90 }, stable: { exposures: 100, failures: 90 } });
    expect([world.phase, world.active.share]).toEqual(["running", 50]);
  });

  test("does not count the time of a pause as time in the stage", () => {
    const world = started();
    world.look(healthy);
    world.now += 10_000;
    world.command("pause");
    world.now += 3_600_000;
    world.command("resume");
    world.look(none);
    expect([world.phase, world.active.share]).toEqual(["running", 10]);
    world.now += 49_000;
    world.look(none);
    expect(world.active.share).toBe(10);
    world.now += 1_000;
    world.look(none);
    expect(world.active.share).toBe(50);
  });

  test("does not count the time of a pause that a failing gate has ended either", () => {
    const world = started(plan({ on_fail: "hold" }));
    world.command("pause");
    const since = world.rollouts.active()?.stage_since ?? 0;
    world.now += 3_600_000;
    world.look(failing);
    expect(world.phase).toBe("holding");
    expect(world.rollouts.active()?.stage_since).toBe(since + 3_600_000);
  });

  test("looks at failures at once after the clock was set back", () => {
    const world = started();
    world.rollouts.takeLook();
    world.now -= 500_000;
    const id = world.rollouts.active()?.id ?? "";
    expect(world.rollouts.observe(id, [[1, true, true, 5, 10]])).toBe(true);
    world.rollouts.takeLook();
    expect(world.rollouts.observe(id, [[2, true, true, 5, 10]])).toBe(false);
    expect(world.rollouts.nextLook()).toBeLessThanOrEqual(world.now + 1_000);
  });

  test("holds without traffic, advances when clients come, and never takes missing data for health", () => {
    const world = started();
    world.now += 3_600_000;
    world.look(none);
    expect([world.phase, world.active.share]).toEqual(["holding", 10]);
    expect(world.rollouts.list()[0]?.reason).toBe("no client has used the candidate in this stage");
    world.look(healthy);
    expect([world.phase, world.active.share]).toEqual(["running", 50]);
  });

  test("holds where clients are not split as configured", () => {
    const world = started();
    world.look(lopsided);
    expect([world.phase, world.active.share]).toEqual(["holding", 10]);
  });

  test("with on_fail hold keeps the split on a failure until an operator approves, and then judges new clients only", () => {
    const world = started(plan({ on_fail: "hold" }));
    world.look(failing);
    expect([world.phase, world.active.share]).toEqual(["holding", 10]);
    world.command("approve");
    expect([world.phase, world.active.share]).toEqual(["running", 50]);
    world.look({ candidate: { exposures: 60, failures: 0 }, stable: { exposures: 60, failures: 0 } });
    expect(world.phase).toBe("running");
  });

  test("counts a client once, over a crash as well", () => {
    const world = started();
    const id = world.rollouts.active()?.id ?? "";
    world.now += 2_000;
    world.rollouts.observe(id, [
      [1, true, true, 5, 10],
      [2, false, false, 5, 90],
      [1, true, true, 5, 10],
    ]);
    const first = world.rollouts.takeLook();
    expect(first.interval.errors).toEqual({
      candidate: { exposures: 1, failures: 1 },
      stable: { exposures: 1, failures: 0 },
    });
    world.now += 20_000;
    world.apply(world.rollouts.active() as Rollout, first);
    world.crash();
    world.rollouts.observe(id, [
      [1, true, true, 5, 10],
      [3, true, false, 5, 10],
    ]);
    expect(world.rollouts.takeLook().interval.errors.candidate).toEqual({ exposures: 1, failures: 0 });
  });

  test("does not take answers from before a stage for its shares", () => {
    const world = started();
    soak(world);
    const { id = "", stage } = world.rollouts.active() ?? {};
    expect(stage).toBe(1);
    const late = Array.from(
      { length: 400 },
      (_, i) => [i, i % 10 === 0, false, 1, i % 10 === 0 ? 10 : 90] as const,
    );
    world.rollouts.observe(id, late);
    const event = world.rollouts.takeLook();
    expect([event.interval.errors.candidate.exposures, event.shared]).toEqual([40, none]);
    world.apply(world.rollouts.active() as Rollout, event);
    expect(world.phase).toBe("running");
  });

  test("does not take answers for the shares of a stage that came while it was prepared", () => {
    const world = started();
    const { id = "" } = world.rollouts.active() ?? {};
    world.look(healthy);
    world.now += 61_000;
    const event = world.rollouts.takeLook();
    const meanwhile = Array.from(
      { length: 400 },
      (_, i) => [i, i % 10 === 0, false, 1, i % 10 === 0 ? 10 : 90] as const,
    );
    world.rollouts.observe(id, meanwhile);
    world.apply(world.rollouts.active() as Rollout, event);
    expect(world.rollouts.active()?.stage).toBe(1);
    expect(world.rollouts.takeLook().shared).toEqual(none);
  });

  test("does not take what one look saw for the shares of the stage that another one has begun meanwhile", () => {
    const world = started();
    const { id = "" } = world.rollouts.active() ?? {};
    world.look(healthy);
    world.now += 61_000;
    const first = world.rollouts.takeLook();
    const seen = Array.from(
      { length: 400 },
      (_, i) => [i, i % 10 === 0, false, 1, i % 10 === 0 ? 10 : 90] as const,
    );
    world.rollouts.observe(id, seen);
    const second = world.rollouts.takeLook();
    world.apply(world.rollouts.active() as Rollout, first);
    world.apply(world.rollouts.active() as Rollout, second);
    expect([world.phase, world.rollouts.active()?.stage]).toEqual(["running", 1]);
  });

  test("calls an answer slow when it is slower than the stable version's own past, once that past is known", () => {
    const world = started();
    const id = world.rollouts.active()?.id ?? "";
    const observations = Array.from(
      { length: 200 },
      (_, i) => [i, false, false, i < 190 ? 10 : 100, 90] as const,
    );
    world.rollouts.observe(id, observations);
    const calibration = world.rollouts.takeLook();
    expect([calibration.slow_ms, calibration.interval.latency]).toEqual([10, none]);
    world.rollouts.observe(id, [
      [1_000, true, false, 11, 10],
      [1_001, false, false, 10, 90],
    ]);
    expect(world.rollouts.takeLook().interval.latency).toEqual({
      candidate: { exposures: 1, failures: 1 },
      stable: { exposures: 1, failures: 0 },
    });
  });
});

describe("a plan", () => {
  test("ends with everybody, grows with each stage, and has a default for all that is left out", () => {
    expect(plan({ stages: [{ percentage: 5 }] }).stages.map(({ percentage }) => percentage)).toEqual([
      5, 100,
    ]);
    expect(
      plan({ stages: undefined, template: "standard" }).stages.map(({ percentage }) => percentage),
    ).toEqual([1, 5, 25, 50, 100]);
    for (const [percentages, why] of [
      [[0, 100], "more than 0"],
      [[101], "at most 100"],
      [[50, 10], "larger than the one before"],
      [[0.0001], "three decimals"],
      [[Number.NaN], "more than 0"],
    ] as const) {
      const made = makePlan({ stages: percentages.map((percentage) => ({ percentage })) });
      expect(made, String(percentages)).toMatchObject({ ok: false, error: expect.stringContaining(why) });
    }
  });
});
