/** Runs rollouts: plans them, applies events to them in transactions, and asks the gate from the alarm. */
import { nowOf } from "../lib/clock.ts";
import type { Env } from "../lib/env.ts";
import type { SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { stubOf } from "../lib/rpc.ts";
import { metricsOf } from "../metrics/store.ts";
import { watchedOf } from "../rollout/baseline.ts";
import { frozenUntil } from "../rollout/freeze.ts";
import { type Notices, rolloutNews } from "../rollout/notify.ts";
import type { Observations } from "../rollout/records.ts";
import { GATE, type NewRollout, type Rollouts } from "../rollout/runner.ts";
import {
  type Lack,
  type Rollout,
  type RolloutCommand,
  type RolloutEvent,
  TERMINAL,
} from "../rollout/types.ts";
import type { Fleet } from "../runtime/fleet.ts";
import type { SendSmoke } from "../runtime/smoke.ts";
import type { Author, Deployment, Share, Version } from "../versions/types.ts";
import { findShares, insertDeployment } from "./deployments.ts";
import { LinkedRollouts, type PeerRegistry } from "./linked-rollouts.ts";
import type { Publisher } from "./publisher.ts";
import { trySmoke } from "./smoke.ts";
import type { Database } from "./sql/index.ts";
import { thresholdsOf } from "./thresholds.ts";
import type { StartFollower, StartRollout } from "./types.ts";

export interface RolloutOptions {
  readonly env: Env;
  readonly db: Database;
  readonly fleet: Fleet;
  readonly rollouts: Rollouts;
  readonly notices: Notices;
  readonly publisher: Publisher;
  /** Sends a smoke request. */
  readonly ask: SendSmoke;
}

/** What a rollout has beside its plan. */
type More = Pick<NewRollout, "id" | "slow_ms" | "peer" | "salt">;

export class RegistryRollouts {
  readonly #env: Env;
  readonly #db: Database;
  readonly #fleet: Fleet;
  readonly #rollouts: Rollouts;
  readonly #notices: Notices;
  readonly #publisher: Publisher;
  readonly #ask: SendSmoke;
  /** What it does together with the registry of another Worker. */
  readonly linked: LinkedRollouts;
  #isLooking = false;

  constructor({ env, db, fleet, rollouts, notices, publisher, ask }: RolloutOptions) {
    this.#env = env;
    this.#db = db;
    this.#fleet = fleet;
    this.#rollouts = rollouts;
    this.#notices = notices;
    this.#publisher = publisher;
    this.#ask = ask;
    this.linked = new LinkedRollouts({
      rollouts,
      name: () => db.worker.name(),
      exists: () => db.worker.state() !== undefined,
      now: () => nowOf(env),
      registryOf: (worker) => stubOf<PeerRegistry>(env.REGISTRY, worker),
      move: (...what) => this.#move(...what),
    });
  }

  /** The id of the active rollout's candidate. */
  get candidate(): string | undefined {
    return this.#rollouts.active()?.candidate.version_id;
  }

  /**
   * Starts a rollout: makes the first deployment of its plan, after the candidate has answered the plan's smoke requests
   * and both versions have been loaded in every process.
   */
  async start(worker: string, input: StartRollout | StartFollower): Promise<Result<Rollout, SluiceError>> {
    const more: More =
      "peer" in input
        ? { id: input.id, peer: input.peer, salt: input.salt }
        : { id: crypto.randomUUID(), peer: null, salt: null };
    const early = this.#plan(worker, input, more);
    if (!early.ok) return early;
    const { candidate, stable, plan } = early.value;
    const slow_ms = await thresholdsOf(stable.version_id, () => metricsOf(this.#env).of(worker));
    const version = candidate.version_id;
    const failed = await trySmoke(plan.smoke, ({ method, path }) =>
      this.#ask({ worker, version, method, path }),
    );
    if (failed !== undefined) return err({ reason: "rollout-smoke-failed", version, ...failed });
    // After the requests, which take their time: what is loaded for a deployment is not kept for long without it.
    const why = await this.#prepare(worker, early.value, plan.stages[0]?.percentage ?? 0);
    if (why !== undefined) return err({ reason: "version-unloadable", worker, why });
    const begin = (linked: Partial<More>) =>
      this.#publisher.commit((): Result<Rollout, SluiceError> => {
        const planned = this.#plan(worker, input, { ...more, slow_ms, ...linked });
        if (!planned.ok) return planned;
        return this.apply(planned.value, { type: "start" }, input.author);
      });
    if (plan.linked === null) return begin({});
    return this.linked.start(early.value, plan.linked, (peer) => begin({ peer, salt: version }));
  }

  #plan(worker: string, { version, plan, author }: StartRollout, more: More): Result<Rollout, SluiceError> {
    const invalid = (detail: string) => err({ reason: "rollout-invalid", detail } as const);
    if (this.#db.worker.state() === undefined) return err({ reason: "worker-not-found", worker });
    const running = this.#rollouts.active();
    if (running !== undefined) return err({ reason: "rollout-active", worker, id: running.id });
    const candidate = this.#findVersion(version);
    if (candidate === undefined) return err({ reason: "version-not-found", worker, version });
    if (plan.linked?.worker === worker) return invalid("a Worker cannot be linked with itself");
    const frozen = frozenUntil(plan.freeze, nowOf(this.#env));
    if (frozen !== undefined) {
      const until = new Date(frozen).toISOString();
      return invalid(`a freeze window of its plan is open, and no stage begins before ${until}`);
    }
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
    return ok(
      this.#rollouts.make({ ...more, candidate: side, stable: { version_id, number }, plan, author }),
    );
  }

  /** @param name id, tag (of the newest version that has it) or `latest` */
  #findVersion(name: string): Version | undefined {
    if (name === "latest") return this.#db.versions.latest();
    const listed = () => this.#db.versions.list(LIMITS.lists.listedVersions);
    return this.#db.versions.get(name) ?? listed().find(({ tag }) => tag === name);
  }

  /**
   * Loads the versions of a stage.
   *
   * @param rollout as it will be in the stage
   * @param percentage of the candidate
   * @returns why one of the versions cannot serve; undefined where all can
   */
  #prepare(worker: string, rollout: Rollout, percentage: number): Promise<string | undefined> {
    const shares = sharesOf(rollout, percentage);
    const watched = TERMINAL.has(rollout.phase) ? undefined : watchedOf(rollout, shares);
    return this.#fleet.prepare(worker, shares, watched);
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
    const follows = rollout.peer?.leads === false && !TERMINAL.has(rollout.phase);
    if (follows) return this.linked.command(rollout, command, author);
    return this.#move(id, { type: command }, author);
  }

  /** Applies an event, once the versions that it gives traffic to are loaded. */
  async #move(id: string, event: RolloutEvent, who: Author): Promise<Result<Rollout, SluiceError>> {
    const worker = this.#db.worker.name();
    const rollout = this.#rollouts.get(id);
    if (rollout === undefined) return err({ reason: "rollout-not-found", worker, id });
    const considered = this.#rollouts.consider(rollout, event);
    if (!considered.ok) return considered;
    // Both are usually loaded. A version whose isolate was lost is loaded again before it gets more traffic.
    const { deploy, rollout: next } = considered.value;
    if (deploy !== null && deploy > 0) {
      const why = await this.#prepare(worker, next, deploy);
      if (why !== undefined) return err({ reason: "version-unloadable", worker, why });
    }
    const decided = Date.now();
    const changed = await this.#publisher.commit((): Result<Rollout, SluiceError> => {
      const current = this.#rollouts.get(id);
      if (current === undefined) return err({ reason: "rollout-not-found", worker, id });
      return this.apply(current, event, who);
    });
    this.#settle(id, decided);
    if (changed.ok) await this.linked.tell(changed.value, rollout);
    return changed;
  }

  /** Ends the active rollout if the version is its candidate. @returns whether it was */
  rollBackFor(version: string, why: string): boolean {
    const rollout = this.#rollouts.active();
    if (rollout?.candidate.version_id !== version) return false;
    return this.apply(rollout, { type: "harmed", why }, GATE).ok;
  }

  /** Makes a deployment that no rollout asked for. It stays, and ends the active rollout. Called in a transaction. */
  deployFromOutside(input: Omit<Deployment, "id" | "created_on">): Deployment {
    const deployment = insertDeployment(this.#db, input, Date.now());
    const rollout = this.#rollouts.active();
    if (rollout !== undefined) {
      this.apply(rollout, { type: "taken_over", by: deployment.id }, input.author);
    }
    return deployment;
  }

  /** Takes in what a router saw, and asks the gate where that is due. */
  async observe(rolloutId: string, observations: Observations): Promise<void> {
    if (this.#rollouts.observe(rolloutId, observations)) await this.look();
    else await this.#publisher.schedule();
  }

  /** Asks the gate of the active rollout, where there is one. */
  async look(): Promise<void> {
    const before = this.#rollouts.active();
    // One look at a time: it may wait for a version to be loaded. What comes meanwhile is for the next one.
    if (before === undefined || this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#lookOnce(before);
    } finally {
      this.#isLooking = false;
    }
    await this.#publisher.schedule();
  }

  async #lookOnce(before: Rollout): Promise<void> {
    const lacks = before.peer === null ? null : await this.linked.consult(before, before.peer);
    const rollout = this.#rollouts.active();
    // The other one of a linked pair may have ended it.
    if (rollout?.id === before.id) await this.#lookAt(rollout, lacks);
  }

  /** @param lacks what the other one of a linked pair lacks */
  async #lookAt(rollout: Rollout, lacks: Lack | null): Promise<void> {
    let event = this.#rollouts.takeLook(rollout, lacks);
    const considered = this.#rollouts.consider(rollout, event);
    const deploy = considered.ok ? (considered.value.deploy ?? 0) : 0;
    if (considered.ok && deploy > 0) {
      const worker = this.#db.worker.name();
      const why = await this.#prepare(worker, considered.value.rollout, deploy);
      if (why !== undefined) {
        log("error", "rollout-waits", { worker, rollout: rollout.id, why });
        // What was seen is judged; only the stage has to wait.
        event = { ...event, lacks: { why: `the next stage cannot begin: ${why}`, waiting: "operator" } };
      }
    }
    const decided = Date.now();
    const changed = await this.#publisher.commit(() => {
      const current = this.#rollouts.active();
      // An operator may have ended it while its versions were prepared.
      return current?.id === rollout.id ? this.apply(current, event, GATE) : undefined;
    });
    this.#settle(rollout.id, decided);
    if (changed?.ok === true) await this.linked.tell(changed.value, rollout);
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
  #deploy(rollout: Rollout, percentage: number, author: Author): string {
    const { id, phase, stage, plan } = rollout;
    const versions = sharesOf(rollout, percentage);
    const what = phase === "running" ? `stage ${stage + 1} of ${plan.stages.length}` : phase;
    const message = `Rollout ${id}: ${what}`;
    const input = { versions, author, source: "api", triggered_by: "rollout", message } as const;
    return insertDeployment(this.#db, input, Date.now()).id;
  }
}

/**
 * The shares of a deployment that gives the candidate this percentage. While the rollout is under way, both versions are in
 * it, so that both stay loaded; when it has ended, one without a share is left out.
 */
function sharesOf({ candidate, stable, phase }: Rollout, percentage: number): Share[] {
  const shares: Share[] = [
    { ...stable, percentage: Number((100 - percentage).toFixed(3)) },
    { ...candidate, percentage },
  ];
  return TERMINAL.has(phase) ? shares.filter((share) => share.percentage > 0) : shares;
}
