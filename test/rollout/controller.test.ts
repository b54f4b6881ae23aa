/** The controller as operators, gates, other deployments and crashes treat it: any sequence of them. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addSample, NO_CPU } from "../../src/rollout/cpu.ts";
import { step } from "../../src/rollout/step.ts";
import { type LookCounts, type Rollout, TERMINAL } from "../../src/rollout/types.ts";
import {
  CANDIDATE,
  failing,
  healthy,
  healthyHalf,
  lopsided,
  none,
  plan,
  STABLE,
  seen,
  WHO,
  World,
} from "./world.ts";

type Action = (world: World) => void;

/** Samples of a candidate that takes 9 ms of processor time for a request, and its baseline 3 ms. */
const HEAVY = Array.from({ length: 100 }, (_, i) => {
  const [candidate, baseline] = i % 2 === 0 ? ([12, 8] as const) : ([8, 12] as const);
  return { candidate, baseline, other: 0, cpu_ms: candidate * 9 + baseline * 3 };
}).reduce(addSample, NO_CPU);

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
  const soak = (world: World, counts: LookCounts = healthy) => {
    world.look(counts);
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
    soak(world, healthyHalf);
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
        soak(world, healthyHalf);
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
    soak(world, seen(0.1, [60, 0], [540, 0]));
    expect(world.active.share).toBe(50);
    world.look(seen(0.5, [100, 90], [100, 90]));
    expect([world.phase, world.active.share]).toEqual(["holding", 50]);
    for (let i = 0; i < 8; i++) world.look(seen(0.5, [100, 0], [100, 0]));
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

  test("is not made longer or shorter by a clock that is set back or forth while it stands still", () => {
    const world = started();
    world.look(healthy);
    world.now += 30_000;
    world.look(none);
    world.now -= 3_600_000;
    world.look(none);
    world.now += 30_000;
    world.look(none);
    expect(world.active.share).toBe(50);
  });

  test("looks at failures at once after the clock was set back", () => {
    const world = started();
    world.judge();
    world.now -= 500_000;
    const failure = (hash: number) => ({
      failures: [{ hash, arm: "candidate", kind: "status", share: 0.5, percentage: 10 } as const],
    });
    expect(world.observe(failure(1))).toBe(true);
    world.judge();
    expect(world.observe(failure(2))).toBe(false);
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

  test("is held when the candidate takes far more processor time, and an approval accepts that for all later stages", () => {
    const world = new World();
    const stage = { soak_seconds: 60, min_exposures: 0 };
    world.start(plan({ stages: [10, 50].map((percentage) => ({ ...stage, percentage })) }));
    world.observe({ cpu: HEAVY });
    world.judge();
    const held = world.rollouts.list()[0];
    expect([held?.phase, held?.waiting]).toEqual(["holding", "operator"]);
    expect(held?.reason).toBe(
      "a request takes 9 ms of processor time on the candidate, and 3 ms on the stable version",
    );
    world.command("approve");
    world.observe({ cpu: HEAVY });
    world.judge();
    expect([world.phase, world.rollouts.list()[0]?.stage, world.active.share]).toEqual(["running", 1, 50]);
  });

  test("is not held for processor time where the plan says so", () => {
    const world = new World();
    world.start(plan({ gates: { cpu: false } }));
    world.observe({ cpu: HEAVY });
    world.judge();
    expect(world.phase).toBe("running");
  });

  test("with on_fail hold keeps the split on a failure until an operator approves, and then judges new clients only", () => {
    const world = started(plan({ on_fail: "hold" }));
    world.look(failing);
    expect([world.phase, world.active.share]).toEqual(["holding", 10]);
    world.command("approve");
    expect([world.phase, world.active.share]).toEqual(["running", 50]);
    world.look(healthyHalf);
    expect(world.phase).toBe("running");
  });

  test("stays held after a failed gate, however well the candidate does afterwards", () => {
    const world = started(plan({ on_fail: "hold" }));
    world.look(failing);
    for (let i = 0; i < 50; i++) {
      world.now += 61_000;
      world.look(seen(0.1, [600, 0], [5_400, 50]));
    }
    expect([world.phase, world.active.share]).toEqual(["holding", 10]);
  });

  describe("at 100%", () => {
    const baking = () => {
      const stages = [
        { percentage: 50, min_exposures: 50 },
        { percentage: 100, soak_seconds: 600 },
      ];
      const world = started(plan({ stages }));
      world.look(seen(0.5, [1_000, 0], [1_000, 0]));
      expect([world.phase, world.active.share]).toEqual(["running", 100]);
      return world;
    };
    const alone = (exposures: number, failures: number) => seen(1, [exposures, failures], [0, 0]);

    test("soaks before it is promoted", () => {
      const world = baking();
      world.now += 599_000;
      world.look(alone(1_000, 0));
      expect(world.phase).toBe("running");
      world.now += 1_000;
      world.look(none);
      expect([world.phase, world.active.share]).toEqual(["promoted", 100]);
    });

    test("goes back to the last comparison where the candidate fails more often than it did, and is rolled back by that", () => {
      const world = baking();
      world.look(alone(1_000, 200));
      expect([world.phase, world.active.share]).toEqual(["running", 50]);
      world.look(seen(0.5, [100, 40], [100, 2]));
      expect([world.phase, world.active.share]).toEqual(["rolled_back", 0]);
    });

    test("is not rolled back by an outage of both versions", () => {
      const world = baking();
      world.look(alone(1_000, 900));
      world.look(seen(0.5, [100, 90], [100, 90]));
      expect(world.phase).not.toBe("rolled_back");
    });

    test("waits for an operator where the plan says so", () => {
      const stages = [{ percentage: 50 }, { percentage: 100, approval: "manual" as const }];
      const world = started(plan({ stages }));
      world.look(seen(0.5, [600, 0], [600, 0]));
      world.look(none);
      expect([world.phase, world.active.share]).toEqual(["awaiting_approval", 100]);
      world.command("approve");
      expect(world.phase).toBe("promoted");
    });
  });

  test("begins with its cohort at 0%, which nobody else sees, and holds when it fails", () => {
    const stages = [{ percentage: 0, soak_seconds: 60, min_exposures: 5 }, { percentage: 50 }];
    const cohort = { type: "cookie", name: "staff", value: "1" } as const;
    const of = (exposures: number, failures: number): LookCounts => ({
      ...none,
      counts: { ...none.counts, cohort: { exposures, failures } },
    });
    const world = started(plan({ stages, cohort }));
    expect([world.phase, world.active.share]).toEqual(["running", 0]);
    world.now += 61_000;
    world.look(of(4, 0));
    expect([world.phase, world.active.share]).toEqual(["holding", 0]);
    world.look(of(1, 0));
    expect([world.phase, world.active.share]).toEqual(["running", 50]);
    const bad = started(plan({ stages, cohort }));
    bad.look(of(10, 3));
    expect([bad.phase, bad.active.share]).toEqual(["holding", 0]);
  });

  test("is rolled back by the cap on harmed clients, even where the reference fails as often", () => {
    const world = started(plan({ gates: { max_harmed: 20 } }));
    world.look(seen(0.5, [100, 19], [100, 19]));
    expect(world.phase).toBe("running");
    world.look(seen(0.5, [10, 1], [10, 1]));
    expect(world.phase).toBe("rolled_back");
    expect(world.rollouts.list()[0]?.reason).toContain("20 clients had a failure on the candidate");
  });

  test("with evidence required ends no stage on a count, and does on an interval below two", () => {
    const world = started(plan({ gates: { require: "evidence" } }));
    world.now += 61_000;
    world.look(seen(0.5, [600, 6], [600, 6]));
    expect([world.phase, world.rollouts.active()?.waiting]).toEqual(["holding", "traffic"]);
    world.look(seen(0.5, [15_000, 150], [15_000, 150]));
    expect(world.active.share).toBe(10);
    // A timeout of the candidate could still come.
    world.now += 40_000;
    world.look(none);
    expect(world.active.share).toBe(50);
  });

  test("begins no stage in a window, and the next one after it", () => {
    const world = started();
    world.look(healthy);
    world.now += 61_000;
    world.look(none, { frozen_until: world.now + 1_000 });
    expect([world.phase, world.rollouts.active()?.waiting, world.active.share]).toEqual([
      "holding",
      "window",
      10,
    ]);
    world.now += 1_000;
    world.look(none, { frozen_until: world.now });
    expect([world.phase, world.active.share]).toEqual(["running", 50]);
  });

  test("holds while the stable version fails more often than it did, and is never rolled back by that", () => {
    const world = started();
    world.look(seen(0.1, [600, 0], [5_400, 5]));
    world.look(seen(0.1, [60, 6], [540, 60]));
    expect([world.phase, world.active.share]).toEqual(["holding", 10]);
    expect(world.rollouts.active()?.reason).toContain("the stable version fails more often than it did");
  });

  test("of a linked pair goes with its leader, and lacks what the other one lacks", () => {
    const world = new World();
    const peer = { worker: "other", rollout_id: "leader", leads: false };
    const made = { candidate: CANDIDATE, stable: STABLE, plan: plan(), author: WHO, peer };
    world.apply(world.rollouts.make(made), { type: "start" });
    soak(world);
    expect([world.phase, world.active.share]).toEqual(["running", 10]);
    const current = world.rollouts.active() as Rollout;
    world.apply(current, { type: "follow", stage: 1, phase: "running", why: "stage 2" });
    expect(world.active.share).toBe(50);
    const leader = started();
    leader.look(healthy);
    leader.now += 61_000;
    leader.look(none, { lacks: { why: "no client has used the candidate of other", waiting: "traffic" } });
    expect([leader.phase, leader.active.share]).toEqual(["holding", 10]);
  });
});
