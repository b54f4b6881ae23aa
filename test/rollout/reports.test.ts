import { describe, expect, test } from "vitest";
import { makePlan } from "../../src/rollout/plan.ts";
import type { Rollout } from "../../src/rollout/types.ts";
import { healthy, none, plan, World } from "./world.ts";

const failureOf = (hash: number) =>
  ({ hash, arm: "candidate", kind: "status", share: 0.5, percentage: 10 }) as const;
const clientOf = (hash: number) => ({ hash, arm: "reference", ms: 5, share: 0.5, percentage: 10 }) as const;
const REPORT = { sender: "late", seq: 0, visits: [], failures: [failureOf(1)], clients: [] };

describe("what routers report", () => {
  const started = () => {
    const world = new World();
    world.start();
    return world;
  };
  const failure = (hash: number | null, arm: "candidate" | "reference" | "beside" = "candidate") =>
    ({ hash, arm, kind: "status", share: 0.5, percentage: 10 }) as const;
  const client = (hash: number, arm: "candidate" | "reference", ms = 1, percentage = 10) =>
    ({ hash, arm, ms, share: 0.5, percentage }) as const;
  const taken = (world: World) => world.rollouts.takeLook(world.rollouts.active() as Rollout);

  test("counts a client's failure once, also over a crash and on another arm after a ramp", () => {
    const world = started();
    world.observe({ failures: [failure(1, "beside"), failure(2), failure(2), failure(1)] });
    const first = taken(world);
    expect(first.counts.errors).toEqual([{ share: 0.5, candidate: 1, reference: 0 }]);
    world.apply(world.rollouts.active() as Rollout, first);
    world.crash();
    world.observe({ failures: [failure(2), failure(1, "reference"), failure(3)] });
    expect(taken(world).counts.errors).toEqual([{ share: 0.5, candidate: 1, reference: 0 }]);
  });

  test("counts once when it is sent twice", () => {
    const world = started();
    const report = {
      sender: "traffic-1",
      seq: 4,
      visits: [{ arm: "candidate", visits: 7, share: 0.5, percentage: 10 }],
      failures: [failure(null)],
    } as const;
    world.observe(report);
    world.observe(report);
    world.observe({ ...report, sender: "traffic-2" });
    expect(taken(world).counts.counts.candidate).toEqual({ exposures: 14, failures: 2 });
  });

  test("says nothing about the split of a stage when it is of the one before", () => {
    const world = started();
    const clients = Array.from({ length: 400 }, (_, i) => client(i, "candidate", 1, 1));
    world.observe({ clients });
    expect(taken(world).counts.shared).toEqual([]);
    world.observe({ clients: [client(1_000, "candidate")] });
    world.look(healthy);
    world.now += 61_000;
    world.look(none);
    expect(world.rollouts.active()?.stage).toBe(1);
    expect(taken(world).counts.shared).toEqual([]);
  });

  test("is judged by how long the stable version's answers took before, once that is known", () => {
    const world = started();
    const past = Array.from({ length: 200 }, (_, i) => client(i, "reference", i + 1));
    world.observe({ clients: past });
    const calibration = taken(world);
    expect([calibration.slow_ms, calibration.counts.judged]).toEqual([
      [100, 180, 190, 198, 200],
      { candidate: 0, reference: 0 },
    ]);
    world.observe({ clients: [client(1_000, "candidate", 195), client(1_001, "reference", 10)] });
    const { latency, judged } = taken(world).counts;
    expect(judged).toEqual({ candidate: 1, reference: 1 });
    expect(latency.map((tallies) => tallies.length)).toEqual([1, 1, 1, 0, 0]);
  });
});

describe("a rollout that begins after another one", () => {
  test("has none of the counts that the other one left behind", () => {
    const world = new World();
    const first = world.start() as Rollout;
    world.observe({ failures: Array.from({ length: 40 }, (_, hash) => failureOf(hash)) });
    world.command("abort");
    world.start();
    expect(world.rollouts.observe(first.id, REPORT)).toBe(false);
    const look = world.rollouts.takeLook(world.rollouts.active() as Rollout);
    expect(look.counts.errors).toEqual([]);
  });

  test("looks again by itself when a freeze window is over, though nobody comes", () => {
    const world = new World();
    world.start(plan({ freeze: [{ cron: "0 0 * * *", hours: 1, timezone: "UTC" }] }));
    world.look(healthy);
    world.now = Date.UTC(2026, 0, 2, 0, 30);
    world.judge();
    expect(world.rollouts.active()?.waiting).toBe("window");
    world.now = Date.UTC(2026, 0, 2, 1, 0, 1);
    world.crash();
    expect(world.rollouts.nextLook()).toBeLessThanOrEqual(world.now);
    world.judge();
    expect(world.active.share).toBe(50);
  });

  test("finds the times of the stable version after a crash too, from clients that it knows", () => {
    const world = new World();
    world.start();
    const clients = Array.from({ length: 200 }, (_, hash) => clientOf(hash));
    world.observe({ clients: clients.slice(0, 150) });
    world.now += 20_000;
    world.look(none);
    world.crash();
    world.observe({ clients });
    expect(world.rollouts.takeLook(world.rollouts.active() as Rollout).slow_ms).not.toBeNull();
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
      [[0, 100], "needs a cohort"],
      [[-1], "more than 0"],
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
