/** Linked rollouts between two registries, where calls are lost and processes end at the worst moment. */
import { describe, expect, test } from "vitest";
import { err, ok } from "../../src/lib/result.ts";
import { followerPlan, followerState } from "../../src/registry/linked.ts";
import { LinkedRollouts, type PeerRegistry } from "../../src/registry/linked-rollouts.ts";
import type { StartFollower } from "../../src/registry/types.ts";
import { makePlan } from "../../src/rollout/plan.ts";
import { Rollouts } from "../../src/rollout/runner.ts";
import type { Peer, Plan, Rollout, RolloutCommand, RolloutEvent } from "../../src/rollout/types.ts";
import type { Author } from "../../src/versions/types.ts";
import { openSqlite } from "../support/sqlite.ts";

const WHO: Author = { id: "anna", email: "anna@example.com" };
const LINKED = { worker: "api", version_id: "new" };
const SIDES = { candidate: { version_id: "new", number: 2 }, stable: { version_id: "old", number: 1 } };

const plan = (): Plan => {
  const made = makePlan({
    stages: [{ percentage: 10, soak_seconds: 60, min_exposures: 0 }, { percentage: 50 }],
    smoke: [{ path: "/" }],
    freeze: [{ cron: "0 18 * * 5", hours: 60 }],
    linked: LINKED,
  });
  if (!made.ok) throw new Error(made.error);
  return made.value;
};

/** The part of a Worker's registry that has to do with its rollouts. */
class Registry implements PeerRegistry {
  readonly #name: string;
  readonly #at: Place;
  readonly rollouts: Rollouts;
  linked: LinkedRollouts;
  /** Whether its Worker exists. */
  exists = true;
  /** Percentage of the candidate. */
  deployed = 0;

  constructor(name: string, at: Place) {
    this.#name = name;
    this.#at = at;
    this.rollouts = new Rollouts(openSqlite(), () => at.now);
    this.linked = this.restarted();
  }

  /** Without everything that only the process knew. */
  restarted(): LinkedRollouts {
    this.linked = new LinkedRollouts({
      rollouts: this.rollouts,
      name: () => this.#name,
      exists: () => this.exists,
      now: () => this.#at.now,
      registryOf: (worker) => this.#at.registryOf(worker),
      move: async (...what) => this.move(...what),
    });
    return this.linked;
  }

  move(id: string, event: RolloutEvent, who: Author) {
    const rollout = this.rollouts.get(id);
    if (rollout === undefined) return err({ reason: "rollout-not-found", worker: "", id } as const);
    return this.apply(rollout, event, who);
  }

  apply(rollout: Rollout, event: RolloutEvent, who: Author) {
    const applied = this.rollouts.apply(rollout, event, who, (_, percentage) => {
      this.deployed = percentage;
      return crypto.randomUUID();
    });
    return applied.ok ? ok(applied.value.rollout) : applied;
  }

  async startRollout(_: string, { id, plan, peer, salt, author }: StartFollower) {
    if (!this.exists) return err({ reason: "worker-not-found", worker: "" } as const);
    return this.apply(
      this.rollouts.make({ ...SIDES, id, plan, peer, salt, author }),
      { type: "start" },
      author,
    );
  }

  follow(...args: Parameters<LinkedRollouts["follow"]>) {
    return this.linked.follow(...args);
  }

  async leaderMove(id: string) {
    return this.linked.leaderMove(id);
  }

  async commandRollout(_: string, id: string, type: RolloutCommand, who: Author) {
    return this.move(id, { type }, who);
  }

  /** As the alarm does it. */
  async look(): Promise<Rollout | undefined> {
    const before = this.rollouts.active();
    if (before?.peer == null) return undefined;
    const lacks = await this.linked.consult(before, before.peer);
    const rollout = this.rollouts.active();
    if (rollout !== undefined) this.apply(rollout, this.rollouts.takeLook(rollout, lacks), WHO);
    return this.rollouts.get(before.id);
  }

  newest(): Rollout {
    return this.rollouts.list()[0] as Rollout;
  }
}

/** Two Workers on a server. */
class Place {
  now = Date.parse("2026-12-01T12:00:00Z");
  readonly web = new Registry("web", this);
  readonly api = new Registry("api", this);
  /** Whether calls arrive. */
  isReachable = true;

  registryOf(worker: string): Registry {
    if (!this.isReachable) throw new Error("it restarts");
    return worker === "web" ? this.web : this.api;
  }

  async start(begin = true): Promise<boolean> {
    const leader = this.web.rollouts.make({ ...SIDES, plan: plan(), author: WHO });
    const started = await this.web.linked.start(leader, LINKED, async (peer) => {
      // The follower may look at once.
      await this.api.look();
      if (!begin) return err({ reason: "changed-meanwhile", worker: "web" });
      return this.web.apply({ ...leader, peer, salt: "new" }, { type: "start" }, WHO);
    });
    return started.ok;
  }

  get phases(): string[] {
    return [this.web, this.api].map((registry) => registry.newest()?.phase);
  }

  get deployed(): number[] {
    return [this.web.deployed, this.api.deployed];
  }
}

function peerOf(registry: Registry): Peer {
  return registry.newest().peer as Peer;
}

describe("the start of linked rollouts", () => {
  test("starts both in the first stage, for the same clients", async () => {
    const at = new Place();
    expect(await at.start()).toBe(true);
    expect([at.phases, at.deployed]).toEqual([
      ["running", "running"],
      [10, 10],
    ]);
    expect([at.web.newest().salt, at.api.newest().salt]).toEqual(["new", "new"]);
    expect(at.api.newest().peer).toEqual({ worker: "web", rollout_id: at.web.newest().id, leads: false });
    expect(at.web.newest().peer).toEqual({ worker: "api", rollout_id: at.api.newest().id, leads: true });
  });

  test("takes the second one back where the first one is refused", async () => {
    const at = new Place();
    expect(await at.start(false)).toBe(false);
    expect(at.web.rollouts.list()).toEqual([]);
    expect(at.api.newest()).toMatchObject({ phase: "aborted" });
    expect(at.deployed).toEqual([0, 0]);
  });

  test("leaves nothing half where the process ends between the two", async () => {
    const at = new Place();
    const never = at.web.linked.start(
      at.web.rollouts.make({ ...SIDES, plan: plan(), author: WHO }),
      LINKED,
      () => Promise.withResolvers<never>().promise,
    );
    never.catch(() => {});
    await expect.poll(() => at.deployed).toEqual([0, 10]);
    await at.api.look();
    expect(at.api.newest().phase).toBe("running");
    at.web.restarted();
    await at.api.look();
    expect(at.api.newest()).toMatchObject({ phase: "aborted" });
    expect(at.api.newest().reason).toContain('the rollout of "web" that it belongs to does not exist');
    expect(at.deployed).toEqual([0, 0]);
  });

  test("does what comes before and between the stages for the first one only", () => {
    expect(followerPlan(plan())).toMatchObject({
      smoke: [],
      freeze: [],
      linked: null,
      stages: plan().stages,
    });
  });
});

describe("the second of two linked rollouts", () => {
  test("finds out by itself where the first one is, whatever call was lost", async () => {
    const at = new Place();
    await at.start();
    at.isReachable = false;
    const before = at.web.newest();
    at.web.move(before.id, { type: "promote" }, WHO);
    await at.web.linked.tell(at.web.newest(), before);
    await at.api.look();
    expect(at.phases).toEqual(["promoted", "running"]);
    at.isReachable = true;
    await at.api.look();
    expect([at.phases, at.deployed]).toEqual([
      ["promoted", "promoted"],
      [100, 100],
    ]);
  });

  test("leaves out an older move that arrives after a newer one", async () => {
    const at = new Place();
    await at.start();
    const { id } = at.api.newest();
    const move = { phase: "running", why: "" } as const;
    await at.api.follow(id, { ...move, stage: 1, elapsed: 2_000 });
    await at.api.follow(id, { ...move, stage: 0, elapsed: 1_000 });
    expect(at.api.newest().stage).toBe(1);
  });

  test("begins anew with the evidence of a failed gate that the first one's operator has accepted", async () => {
    const at = new Place();
    await at.start();
    const total = (failures: number) => ({ exposures: 100, failures });
    const before = at.api.newest();
    const { evidence } = before;
    const counts = { ...evidence.total, candidate: total(40), reference: total(1) };
    const failed: Rollout = {
      ...before,
      phase: "holding",
      failed: "the candidate fails",
      waiting: "operator",
      evidence: { ...evidence, total: counts, accepted: 0 },
    };
    const on = (stage: number) => ({ type: "follow", stage, phase: "running", why: "" }) as const;
    const went = at.api.rollouts.consider(failed, on(1));
    expect(went).toMatchObject({
      ok: true,
      value: { deploy: 50, rollout: { failed: null, phase: "running", evidence: { accepted: 40 } } },
    });
    const back = at.api.rollouts.consider({ ...failed, stage: 2 }, on(1));
    expect(back).toMatchObject({ value: { rollout: { evidence: { accepted: 0 } } } });
  });

  test("takes the first one with it where it ends by itself", async () => {
    const at = new Place();
    await at.start();
    at.api.move(at.api.newest().id, { type: "harmed", why: "it ended its process" }, WHO);
    await at.web.look();
    expect(at.phases).toEqual(["rolled_back", "rolled_back"]);
    expect(at.web.newest().reason).toBe(
      'the linked rollout of "api" has ended (rolled_back): it ended its process',
    );
  });

  test("waits for an operator where the first one's Worker is gone, and says so once", async () => {
    const at = new Place();
    await at.start();
    at.web.rollouts.clear();
    at.web.exists = false;
    await at.api.look();
    expect(at.api.newest()).toMatchObject({ phase: "holding", waiting: "operator" });
    await at.api.look();
    expect(at.api.rollouts.trail(at.api.newest().id)).toHaveLength(2);
    const { linked } = at.api;
    expect((await linked.command(at.api.newest(), "promote", WHO)).ok).toBe(false);
    expect((await linked.command(at.api.newest(), "abort", WHO)).ok).toBe(true);
    expect(at.deployed[1]).toBe(0);
  });
});

describe("the first of two linked rollouts", () => {
  test("does not go on while the second one cannot be asked, or is not as far", async () => {
    const at = new Place();
    await at.start();
    const lacks = async () => (await at.web.linked.consult(at.web.newest(), peerOf(at.web)))?.why;
    expect(await lacks()).toContain("has not been in this stage for long enough");
    at.now += 60_000;
    expect(await lacks()).toContain("no client has used the candidate");
    at.isReachable = false;
    expect(await lacks()).toContain("cannot be asked");
  });

  test("goes back with the second one, whose candidate fails at 100%", async () => {
    const at = new Place();
    await at.start();
    const leader = { ...at.web.newest(), stage: 2 };
    const follower: Rollout = {
      ...at.api.newest(),
      stage: 2,
      phase: "holding",
      waiting: "operator",
      evidence: {
        ...at.api.newest().evidence,
        bake: { ...at.api.newest().evidence.bake, sum: 20 },
      },
    };
    at.web.rollouts.apply(leader, { type: "pause" }, WHO, () => "");
    at.api.rollouts.apply(follower, { type: "follow", stage: 2, phase: "running", why: "" }, WHO, () => "");
    expect(followerState("api", at.api.newest(), 2, at.now).isRelapsing).toBe(true);
    await at.web.linked.consult(at.web.newest(), peerOf(at.web));
    expect(at.web.newest()).toMatchObject({ phase: "running", stage: 1 });
    await at.api.look();
    expect(at.api.newest()).toMatchObject({ stage: 1 });
    expect(at.deployed).toEqual([50, 50]);
  });

  test("holds where the second one's Worker is gone", () => {
    expect(followerState("api", undefined, 0, 0)).toMatchObject({
      ended: null,
      lacks: { why: 'the linked Worker "api" no longer exists', waiting: "operator" },
    });
  });
});
