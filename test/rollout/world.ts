/** A Worker's rollouts without a server: what the registry does with them, and what routers report. */
import { noLook } from "../../src/rollout/counts.ts";
import { makePlan } from "../../src/rollout/plan.ts";
import type { Observations } from "../../src/rollout/records.ts";
import { GATE, Rollouts } from "../../src/rollout/runner.ts";
import type {
  Lack,
  LookCounts,
  Plan,
  Rollout,
  RolloutCommand,
  RolloutEvent,
} from "../../src/rollout/types.ts";
import { openSqlite } from "../support/sqlite.ts";

export const WHO = { id: "anna", email: "anna@example.com" };
export const STABLE = { version_id: "stable", number: 1 };
export const CANDIDATE = { version_id: "candidate", number: 2 };

export const plan = (change: Parameters<typeof makePlan>[0] = {}): Plan => {
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

export const SLOW_MS = [10, 20, 30, 40, 50];
export const none = noLook(SLOW_MS.length);

/** Visits of as many new clients, some of whom fail. @param arms exposures and failures of candidate and reference */
export function seen(
  share: number,
  [ce, cf]: readonly [number, number],
  [re, rf]: readonly [number, number],
): LookCounts {
  return {
    ...none,
    errors: [{ share, candidate: cf, reference: rf }],
    shared: [{ share, candidate: ce, reference: re }],
    counts: {
      ...none.counts,
      candidate: { exposures: ce, failures: cf },
      reference: { exposures: re, failures: rf },
    },
  };
}
export const healthy = seen(0.1, [60, 0], [540, 1]);
export const healthyHalf = seen(0.5, [60, 0], [60, 0]);
export const failing = seen(0.1, [60, 40], [540, 1]);
export const lopsided = seen(0.1, [500, 0], [100, 0]);

/** What the registry does with a controller: commits, deployments, restarts. */
export class World {
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
    const made = { candidate: CANDIDATE, stable: STABLE, plan: given, author: WHO };
    const rollout = this.rollouts.make(made);
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

  look(counts: LookCounts, more: { frozen_until?: number; lacks?: Lack } = {}): void {
    const rollout = this.rollouts.active();
    if (rollout === undefined) return;
    const { stage } = rollout;
    const given = { frozen_until: null, lacks: null, ...more };
    this.apply(rollout, { type: "look", counts, stage, slow_ms: SLOW_MS, ...given });
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

  /** What a router reports. */
  observe(report: Partial<Observations>): boolean {
    const base = { sender: "router", seq: this.#seq++, visits: [], failures: [], clients: [] };
    return this.rollouts.observe(this.rollouts.active()?.id ?? "", { ...base, ...report });
  }
  #seq = 0;

  /** Takes what was reported into a look and judges it. */
  judge(): void {
    const rollout = this.rollouts.active();
    if (rollout !== undefined) this.apply(rollout, this.rollouts.takeLook(rollout));
  }

  get phase(): string {
    return this.rollouts.list()[0]?.phase ?? "none";
  }
}
