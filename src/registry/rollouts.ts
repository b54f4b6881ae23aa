/** Runs rollouts: plans them, applies events to them in transactions, and asks the gate from the alarm. */
import { nowOf } from "../lib/clock.ts";
import type { Env } from "../lib/env.ts";
import type { SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { type Notices, rolloutNews } from "../rollout/notify.ts";
import type { Observation } from "../rollout/records.ts";
import { GATE, type Rollouts } from "../rollout/runner.ts";
import type { Rollout, RolloutCommand, RolloutEvent, Side } from "../rollout/types.ts";
import type { Fleet } from "../runtime/fleet.ts";
import type { Author, Share, Version } from "../versions/types.ts";
import { findShares, insertDeployment } from "./deployments.ts";
import type { Publisher } from "./publisher.ts";
import type { Database } from "./sql/index.ts";
import type { StartRollout } from "./types.ts";

export interface RolloutOptions {
  readonly env: Env;
  readonly db: Database;
  readonly fleet: Fleet;
  readonly rollouts: Rollouts;
  readonly notices: Notices;
  readonly publisher: Publisher;
}

export class RegistryRollouts {
  readonly #env: Env;
  readonly #db: Database;
  readonly #fleet: Fleet;
  readonly #rollouts: Rollouts;
  readonly #notices: Notices;
  readonly #publisher: Publisher;

  constructor({ env, db, fleet, rollouts, notices, publisher }: RolloutOptions) {
    this.#env = env;
    this.#db = db;
    this.#fleet = fleet;
    this.#rollouts = rollouts;
    this.#notices = notices;
    this.#publisher = publisher;
  }

  /** Starts a rollout: makes the first deployment of its plan, after both versions have been loaded in every process. */
  async start(worker: string, input: StartRollout): Promise<Result<Rollout, SluiceError>> {
    const early = this.#plan(worker, input);
    if (!early.ok) return early;
    const why = await this.#prepare(worker, early.value, early.value.plan.stages[0]?.percentage ?? 0);
    if (why !== undefined) return err({ reason: "version-unloadable", worker, why });
    return this.#publisher.commit((): Result<Rollout, SluiceError> => {
      const planned = this.#plan(worker, input);
      if (!planned.ok) return planned;
      return this.apply(planned.value, { type: "start" }, input.author);
    });
  }

  #plan(worker: string, { version, plan, author }: StartRollout): Result<Rollout, SluiceError> {
    const invalid = (detail: string) => err({ reason: "rollout-invalid", detail } as const);
    if (this.#db.worker.state() === undefined) return err({ reason: "worker-not-found", worker });
    const running = this.#rollouts.active();
    if (running !== undefined) return err({ reason: "rollout-active", worker, id: running.id });
    const candidate = this.#findVersion(version);
    if (candidate === undefined) return err({ reason: "version-not-found", worker, version });
    const others = (this.#db.deployments.active()?.versions ?? []).filter(
      ({ version_id, percentage }) => version_id !== candidate.id && percentage > 0,
    );
    const [stable] = others;
    if (stable === undefined) return invalid(`version ${candidate.id} already serves all traffic`);
    if (others.length !== 1) {
      return invalid("two other versions share the traffic: deploy one of them at 100% first");
    }
    const found = findShares(this.#db, worker, [{ version_id: candidate.id, percentage: 0 }]);
    if (!found.ok) return found;
    const { version_id, number } = stable;
    const side = { version_id: candidate.id, number: candidate.number };
    return ok(this.#rollouts.make(side, { version_id, number }, plan, author));
  }

  /** @param name id, tag (of the newest version that has it) or `latest` */
  #findVersion(name: string): Version | undefined {
    if (name === "latest") return this.#db.versions.latest();
    const listed = () => this.#db.versions.list(LIMITS.lists.listedVersions);
    return this.#db.versions.get(name) ?? listed().find(({ tag }) => tag === name);
  }

  /** @returns why one of the two versions cannot serve; undefined where both can */
  #prepare(worker: string, { candidate, stable }: Rollout, percentage: number): Promise<string | undefined> {
    return this.#fleet.prepare(worker, sharesOf(candidate, stable, percentage));
  }

  /** Applies an operator's command. */
  async command(
    worker: string,
    id: string,
    command: RolloutCommand,
    author: Author,
  ): Promise<Result<Rollout, SluiceError>> {
    const rollout = this.#rollouts.get(id);
    if (rollout === undefined) return err({ reason: "rollout-not-found", worker, id });
    const considered = this.#rollouts.consider(rollout, { type: command });
    if (!considered.ok) return considered;
    // Both are usually loaded. A version whose isolate was lost is loaded again before it gets more traffic.
    const { deploy } = considered.value;
    if (deploy !== null && deploy > 0) {
      const why = await this.#prepare(worker, rollout, deploy);
      if (why !== undefined) return err({ reason: "version-unloadable", worker, why });
    }
    const decided = Date.now();
    const changed = await this.#publisher.commit((): Result<Rollout, SluiceError> => {
      const current = this.#rollouts.get(id);
      if (current === undefined) return err({ reason: "rollout-not-found", worker, id });
      return this.apply(current, { type: command }, author);
    });
    this.#settle(id, decided);
    return changed;
  }

  /** Ends the active rollout if the version is its candidate. @returns whether it was */
  rollBackFor(version: string, why: string): boolean {
    const rollout = this.#rollouts.active();
    if (rollout?.candidate.version_id !== version) return false;
    return this.apply(rollout, { type: "harmed", why }, GATE).ok;
  }

  /** Takes in what a router saw, and asks the gate where that is due. */
  async observe(rolloutId: string, observations: readonly Observation[]): Promise<void> {
    if (this.#rollouts.observe(rolloutId, observations)) await this.look();
    else await this.#publisher.schedule();
  }

  /** Asks the gate of the active rollout, where there is one. */
  async look(): Promise<void> {
    const rollout = this.#rollouts.active();
    if (rollout === undefined) return;
    const event = this.#rollouts.takeLook();
    const considered = this.#rollouts.consider(rollout, event);
    const deploy = considered.ok ? (considered.value.deploy ?? 0) : 0;
    if (deploy > 0) {
      const worker = this.#db.worker.name();
      const why = await this.#prepare(worker, rollout, deploy);
      if (why !== undefined) {
        log("error", "rollout-waits", { worker, rollout: rollout.id, why });
        this.#rollouts.giveBack(event);
        await this.#publisher.schedule();
        return;
      }
    }
    const decided = Date.now();
    await this.#publisher.commit(() => {
      const current = this.#rollouts.active();
      // An operator may have ended it while its versions were prepared.
      if (current !== undefined && current.id === rollout.id) this.apply(current, event, GATE);
    });
    this.#settle(rollout.id, decided);
    await this.#publisher.schedule();
  }

  /** Records how long the end of a rollout took to reach every process. @param decided in ms since the epoch */
  #settle(id: string, decided: number): void {
    if (this.#publisher.isBehind || this.#rollouts.active()?.id === id) return;
    this.#rollouts.settle(id, Date.now() - decided);
  }

  /** Applies an event with its deployment, notices and audit entry. Called in a transaction. */
  apply(rollout: Rollout, event: RolloutEvent, who: Author): Result<Rollout, SluiceError> {
    const applied = this.#rollouts.apply(rollout, event, who, (after, percentage) =>
      this.#deploy(after, percentage, who),
    );
    if (!applied.ok) return applied;
    const { rollout: after, notice } = applied.value;
    const worker = this.#db.worker.name();
    const webhooks = this.#db.worker.state()?.settings.webhooks ?? [];
    if (notice !== null) this.#notices.add(webhooks, rolloutNews(worker, notice, after), Date.now());
    // The record tells routers which rollout to observe.
    if (notice !== null || after.phase !== rollout.phase) {
      this.#db.worker.bumpRevision();
      const { id, phase, stage, reason } = after;
      const detail = { rollout_id: id, event: event.type, phase, stage: stage + 1, reason };
      this.#db.audit.add(nowOf(this.#env), { author: who, source: "api", action: "rollout", detail });
      log("info", "rollout", { worker, rollout: id, phase, reason });
    }
    return ok(after);
  }

  /** Makes the deployment of a stage. @param percentage of the candidate @returns the deployment's id */
  #deploy(
    { id, phase, stage, candidate, stable, plan }: Rollout,
    percentage: number,
    author: Author,
  ): string {
    const versions = sharesOf(candidate, stable, percentage);
    const what = phase === "running" ? `stage ${stage + 1} of ${plan.stages.length}` : phase;
    const message = `Rollout ${id}: ${what}`;
    const input = { versions, author, source: "api", triggered_by: "rollout", message } as const;
    return insertDeployment(this.#db, input, Date.now()).id;
  }
}

/** The shares of a deployment that gives the candidate this percentage: a version without a share is left out. */
function sharesOf(candidate: Side, stable: Side, percentage: number): Share[] {
  const shares: Share[] = [
    { ...stable, percentage: Number((100 - percentage).toFixed(3)) },
    { ...candidate, percentage },
  ];
  return percentage === 0 ? shares.slice(0, 1) : percentage === 100 ? shares.slice(1) : shares;
}
