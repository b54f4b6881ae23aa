/**
 * The record of one Worker: its versions, deployments, rollouts and settings. One Durable Object per name, and the only
 * writer.
 *
 * Guarantees: each change is one transaction, so a crash leaves either the old record or the new one. The active
 * deployment reaches KV after the commit. Where that fails, or the process dies in between, the registry publishes it
 * again: from the alarm, and before it answers from this record. So the API never shows a deployment that the router
 * does not follow.
 */

import { DurableObject } from "cloudflare:workers";
import type { Manifest } from "../assets/manifest.ts";
import { nowOf } from "../lib/clock.ts";
import type { Env } from "../lib/env.ts";
import type { SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { type Rpc, stubOf } from "../lib/rpc.ts";
import { isSafeMode } from "../lib/safe-mode.ts";
import { Notices } from "../rollout/notify.ts";
import type { Observations } from "../rollout/records.ts";
import { Rollouts } from "../rollout/runner.ts";
import type { Rollout, RolloutCommand } from "../rollout/types.ts";
import { type Fleet, fleetOf } from "../runtime/fleet.ts";
import { smokeSender } from "../runtime/smoke.ts";
import { checkShares, listDeployments, type ShareInput } from "../versions/deployment.ts";
import type { Incident } from "../versions/incident.ts";
import { versionKey } from "../versions/keys.ts";
import type { DeploymentRecord, WorkerSummary } from "../versions/record.ts";
import type { Author, Deployment, Settings, Share, Version, WorkerState } from "../versions/types.ts";
import { type AnnouncedFiles, AssetSessions, type ClaimedFiles, type OpenSession } from "./asset-sessions.ts";
import { checkDeployment, checkVersion } from "./deployments.ts";
import { noteIncident } from "./incidents.ts";
import type { FollowerState, Move } from "./linked.ts";
import type { NoLeader } from "./linked-rollouts.ts";
import { Publisher } from "./publisher.ts";
import { hold, quarantine, release } from "./quarantine.ts";
import { recordOf, summaryOf } from "./record.ts";
import { removeWorker } from "./removal.ts";
import { RegistryRollouts } from "./rollouts.ts";
import { setSubdomain, updateSettings } from "./settings.ts";
import { type Database, openDatabase } from "./sql/index.ts";
import type { HeldEvent } from "../versions/types.ts";
import type {
  Actor,
  AuditEntry,
  Page,
  Paged,
  RecordDeployment,
  RecordVersion,
  StartFollower,
  StartRollout,
  WorkerOverview,
} from "./types.ts";
import { insertVersion } from "./versions.ts";

export class WorkerRegistry extends DurableObject<Env> {
  readonly #db: Database;
  readonly #fleet: Fleet;
  readonly #sessions: AssetSessions;
  readonly #rollouts: Rollouts;
  readonly #notices: Notices;
  readonly #publisher: Publisher;
  readonly #operations: RegistryRollouts;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#db = openDatabase(ctx.storage.sql);
    this.#fleet = fleetOf(env, ctx.exports.Follower);
    this.#sessions = new AssetSessions(this.#db);
    this.#rollouts = new Rollouts(ctx.storage.sql, () => nowOf(env), isSafeMode(env));
    this.#notices = new Notices(ctx.storage.sql, (...args) => fetch(...args));
    const parts = { db: this.#db, fleet: this.#fleet, rollouts: this.#rollouts, notices: this.#notices };
    this.#publisher = new Publisher({ ...parts, env, storage: ctx.storage });
    const ask = smokeSender(env, ctx.exports.Follower);
    this.#operations = new RegistryRollouts({ ...parts, env, publisher: this.#publisher, ask });
  }

  /** The Worker, its latest version and its active deployment; undefined where there is no such Worker. */
  async overview(): Promise<WorkerOverview | undefined> {
    await this.#publisher.publish();
    const worker = this.#db.worker.state();
    const latest = this.#db.versions.latest();
    if (worker === undefined || latest === undefined) return undefined;
    return { worker, latest, active: this.#db.deployments.active(), lifecycle: this.#db.worker.lifecycle() };
  }

  /** Newest first. */
  versions(): Version[] {
    return this.#db.versions.list(LIMITS.lists.listedVersions);
  }

  /** Newest first. */
  versionPage({ limit, offset }: Page): Paged<Version> {
    return { items: this.#db.versions.list(limit, offset), total: this.#db.versions.count() };
  }

  version(id: string): Version | undefined {
    return this.#db.versions.get(id);
  }

  /** Newest first; the first one is active. */
  async deployments(): Promise<readonly Deployment[]> {
    await this.#publisher.publish();
    return listDeployments(this.#db.deployments.all(), LIMITS.lists.listedDeployments);
  }

  /** Newest first. */
  async deploymentPage({ limit, offset }: Page): Promise<Paged<Deployment>> {
    await this.#publisher.publish();
    return { items: this.#db.deployments.page(limit, offset), total: this.#db.deployments.count() };
  }

  /** The audit trail, newest first. It outlives the Worker. */
  audit({ limit, offset }: Page): Paged<AuditEntry> {
    return { items: this.#db.audit.page(limit, offset), total: this.#db.audit.count() };
  }

  /** Adds a change to the audit trail that is not part of this record. */
  note(actor: Actor, action: AuditEntry["action"], detail: Readonly<Record<string, unknown>>): void {
    this.#db.audit.add(Date.now(), { ...actor, action, detail });
  }

  /** Notes that a process ended in which versions of this Worker ran. */
  async noteIncident(incident: Incident): Promise<void> {
    this.ctx.storage.transactionSync(() => noteIncident(this.#db, this.#notices, incident));
    await this.#publisher.schedule();
  }

  deployment(id: string): Deployment | undefined {
    return this.#db.deployments.get(id);
  }

  /** The record that the router follows; undefined while nothing is deployed. */
  async record(): Promise<DeploymentRecord | undefined> {
    await this.#publisher.publish();
    return recordOf(this.#db, this.#rollouts.active(), Date.now());
  }

  /** Call it before the code of a version is written to KV: if the version is never recorded, the code is deleted. */
  async announce(versionId: string): Promise<void> {
    this.#db.outbox.discard(versionKey(versionId), Date.now() + LIMITS.uploads.orphanAgeMs);
    await this.#publisher.schedule();
  }

  /** Begins an upload of assets. The Worker need not exist yet. */
  openAssets(manifest: Manifest): OpenSession {
    return this.ctx.storage.transactionSync(() => this.#sessions.open(manifest, Date.now()));
  }

  assetSession(id: string, hashes: readonly string[]): AnnouncedFiles | undefined {
    return this.#sessions.announced(id, hashes);
  }

  /** Records that KV has the files. @returns how many are still missing; undefined where the session has expired */
  addAssets(id: string, hashes: readonly string[]): number | undefined {
    return this.ctx.storage.transactionSync(() => this.#sessions.add(id, hashes));
  }

  claimAssets(id: string): ClaimedFiles | undefined {
    return this.#sessions.claim(id);
  }

  /** Records that KV has a set of assets. @param key KV key */
  addAssetSet(key: string): void {
    this.#db.assets.add(key);
  }

  /** Starts a rollout: makes the first deployment of its plan, after both versions have been loaded in every process. */
  startRollout(worker: string, input: StartRollout | StartFollower): Promise<Result<Rollout, SluiceError>> {
    return this.#operations.start(worker, input);
  }

  /** Takes a rollout to where its leader is, in another Worker's registry. @returns what it says of itself then */
  follow(id: string, move: Move): Promise<FollowerState> {
    return this.#operations.linked.follow(id, move);
  }

  /** Where a rollout is, for the one that follows it in another Worker's registry. */
  leaderMove(id: string): Move | NoLeader {
    return this.#operations.linked.leaderMove(id);
  }

  /** Newest first. */
  rollouts(): Rollout[] {
    return this.#rollouts.list();
  }

  /** A rollout with its transitions, its evidence over time and what its bets were decided by. */
  rollout(id: string) {
    return this.#rollouts.detail(id);
  }

  /** Applies an operator's command to a rollout. */
  commandRollout(
    worker: string,
    id: string,
    command: RolloutCommand,
    author: Author,
  ): Promise<Result<Rollout, SluiceError>> {
    return this.#operations.command(worker, id, command, author);
  }

  /** Takes in what a router saw of a rollout. */
  observe(rolloutId: string, observations: Observations): Promise<void> {
    return this.#operations.observe(rolloutId, observations);
  }

  /** A version that is deployed with this is loaded first, and refused where that fails. */
  async recordVersion(worker: string, input: RecordVersion): Promise<Result<Version, SluiceError>> {
    const early = checkVersion(this.#db, worker, input, this.#isProtected());
    if (!early.ok) return early;
    if (input.deploy !== null) {
      // The number that it is going to get does not matter: it is alone.
      const prepared = await this.#prepare(worker, [
        { version_id: input.version.id, number: 0, percentage: 100 },
      ]);
      if (!prepared.ok) return prepared;
    }
    return this.#publisher.commit((): Result<Version, SluiceError> => {
      const checked = checkVersion(this.#db, worker, input, this.#isProtected());
      if (!checked.ok) return checked;
      const version = insertVersion(this.#db, worker, input);
      if (input.deploy !== null) {
        const versions = [{ version_id: version.id, number: version.number, percentage: 100 }];
        this.#operations.deployFromOutside({ ...input.deploy, ...input.actor, versions });
      }
      return ok(version);
    });
  }

  /** Refuses a deployment that is not valid or whose versions cannot be loaded. Nothing changes then. */
  async recordDeployment(worker: string, input: RecordDeployment): Promise<Result<Deployment, SluiceError>> {
    const shares = checkShares(input.shares);
    if (!shares.ok) return shares;
    const early = this.#checkDeployment(worker, shares.value, input);
    if (!early.ok) return early;
    const prepared = await this.#prepare(worker, early.value);
    if (!prepared.ok) return prepared;
    return this.#publisher.commit((): Result<Deployment, SluiceError> => {
      const versions = this.#checkDeployment(worker, shares.value, input);
      if (!versions.ok) return versions;
      return ok(
        this.#operations.deployFromOutside({
          ...input.actor,
          triggered_by: "deployment",
          message: input.message,
          versions: versions.value,
        }),
      );
    });
  }

  /** Whether a deployment would be accepted, as far as that can be told without loading its versions. */
  tryDeployment(worker: string, input: RecordDeployment): Result<readonly Share[], SluiceError> {
    const shares = checkShares(input.shares);
    return shares.ok ? this.#checkDeployment(worker, shares.value, input) : shares;
  }

  #checkDeployment(
    worker: string,
    shares: readonly ShareInput[],
    { force, replaces }: RecordDeployment,
  ): Result<Share[], SluiceError> {
    return checkDeployment(this.#db, worker, { shares, force, replaces }, this.#isProtected());
  }

  /** Whether `wrangler deploy` may not replace a split. */
  #isProtected(): boolean {
    return this.#rollouts.active() !== undefined || this.#db.worker.state()?.settings.protect === true;
  }

  /** Loads versions wherever traffic is served. Traffic moves to a version only after that. */
  async #prepare(worker: string, shares: readonly Share[]): Promise<Result<null, SluiceError>> {
    const why = await this.#fleet.prepare(worker, shares);
    return why === undefined ? ok(null) : err({ reason: "version-unloadable", worker, why });
  }

  /** @param previews null for the same as `enabled` */
  setSubdomain(
    actor: Actor,
    worker: string,
    enabled: boolean,
    previews: boolean | null,
  ): Promise<Result<WorkerState, SluiceError>> {
    return this.#change(worker, (state) => setSubdomain(this.#db, actor, state, { enabled, previews }));
  }

  /** Keeps a version from running, and gives its share of the traffic to the other one. */
  quarantine(worker: string, found: { readonly version_id: string; readonly why: string }) {
    return this.#change(worker, (state) => quarantine(this.#db, this.#operations, state, found));
  }

  /** Notes that an event of the Worker is held. */
  hold(worker: string, event: Omit<HeldEvent, "since">) {
    return this.#change(worker, (state) => hold(this.#db, state, event));
  }

  /** Lets a version run again; without one, all that is kept from running. @returns whether it was kept from running */
  release(actor: Actor, worker: string, version?: string): Promise<Result<boolean, SluiceError>> {
    return this.#change(worker, (state) => release(this.#db, actor, state, version));
  }

  updateSettings(
    actor: Actor,
    worker: string,
    change: Partial<Settings>,
  ): Promise<Result<Settings, SluiceError>> {
    return this.#change(worker, (state) => updateSettings(this.#db, actor, state, change));
  }

  /** Deletes the Worker with everything that belongs to it, including its code in KV. */
  async remove(actor: Actor, worker: string): Promise<Result<null, SluiceError>> {
    const parts = { db: this.#db, rollouts: this.#rollouts, notices: this.#notices };
    const removed = await this.#change(worker, () => removeWorker(parts, actor, worker));
    if (removed.ok) {
      // Every process knows of the deletion by now. Counts from before it must arrive before the metrics forget them.
      await this.#fleet.flush();
      await this.#publisher.tellMetrics((metrics) => metrics.forget(worker, removed.value));
    }
    await this.#publisher.schedule();
    return removed.ok ? ok(null) : removed;
  }

  /** Changes a Worker that exists, in one transaction, and publishes the result. */
  #change<T>(worker: string, change: (state: WorkerState) => T): Promise<Result<T, SluiceError>> {
    return this.#publisher.commit((): Result<T, SluiceError> => {
      const state = this.#db.worker.state();
      return state === undefined ? err({ reason: "worker-not-found", worker }) : ok(change(state));
    });
  }

  override async alarm(): Promise<void> {
    await this.#publisher.publish();
    if ((this.#rollouts.nextLook() ?? Number.POSITIVE_INFINITY) <= nowOf(this.env))
      await this.#operations.look();
    // Not awaited: a slow receiver of notices must not delay the gate.
    if ((this.#notices.next() ?? Number.POSITIVE_INFINITY) <= Date.now()) void this.#deliverNotices();
    await this.#publisher.collect();
    await this.#publisher.schedule();
  }

  async #deliverNotices(): Promise<void> {
    await this.#notices.deliver(Date.now);
    await this.#publisher.schedule();
  }

  /** What lists of Workers show; undefined while nothing is deployed. */
  async summary(): Promise<WorkerSummary | undefined> {
    const record = await this.record();
    return record && summaryOf(this.#db, record, this.#rollouts.list()[0]);
  }
}

/** The registry of a Worker. */
export function registryOf({ REGISTRY }: Pick<Env, "REGISTRY">, worker: string): Rpc<WorkerRegistry> {
  return stubOf(REGISTRY, worker);
}
