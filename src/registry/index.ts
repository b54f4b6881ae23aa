/**
 * The record of one Worker: its versions, deployments and settings. One Durable Object per name; the only writer.
 *
 * Guarantees: a change is one transaction, so a crash leaves the old record or the new one. The active deployment
 * reaches KV after the commit; where that fails or the process dies in between, it is published again by the alarm
 * and before any answer is given from this record, so the API never shows what the router does not follow.
 */

import { DurableObject } from "cloudflare:workers";
import type { Manifest } from "../assets/manifest.ts";
import { alarmTime, nowOf } from "../lib/clock.ts";
import type { Env } from "../lib/env.ts";
import type { SluiceError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { type Rpc, stubOf } from "../lib/rpc.ts";
import { type Metrics, metricsOf } from "../metrics/store.ts";
import { Notices } from "../rollout/notify.ts";
import type { Observation } from "../rollout/records.ts";
import { GATE, Rollouts } from "../rollout/runner.ts";
import type { Rollout, RolloutCommand, RolloutEvent } from "../rollout/types.ts";
import { type Fleet, fleetOf } from "../runtime/fleet.ts";
import { classesByNamespace } from "../versions/classes.ts";
import {
  changedSecrets,
  checkShares,
  endsSplit,
  listDeployments,
  type ShareInput,
} from "../versions/deployment.ts";
import { previewKey, versionKey } from "../versions/keys.ts";
import { previewLabels, previewsOf } from "../versions/preview.ts";
import type { DeploymentRecord, PreviewRecord, WorkerSummary } from "../versions/record.ts";
import { deleteRecord, writeRecord } from "../versions/replica.ts";
import { retain } from "../versions/retention.ts";
import type { Author, Deployment, Settings, Share, Version, WorkerState } from "../versions/types.ts";
import { type AnnouncedFiles, AssetSessions, type ClaimedFiles, type OpenSession } from "./asset-sessions.ts";
import { clearWorker, type Database, openDatabase } from "./sql/index.ts";
import type {
  Actor,
  AuditAction,
  AuditEntry,
  Page,
  Paged,
  RecordDeployment,
  RecordVersion,
  RolloutDetail,
  StartRollout,
  WorkerOverview,
} from "./types.ts";

/** Settings that the router has to know. */
const IN_RECORD: readonly (keyof Settings)[] = ["previews", "affinity", "expose_version", "retention"];

export class WorkerRegistry extends DurableObject<Env> {
  readonly #db: Database;
  readonly #fleet: Fleet;
  readonly #sessions: AssetSessions;
  readonly #rollouts: Rollouts;
  readonly #notices: Notices;
  #publishing: Promise<void> = Promise.resolve();
  /** What was said last of whether a process may serve an older deployment. */
  #reportedStale: boolean | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#db = openDatabase(ctx.storage.sql);
    this.#fleet = fleetOf(env, ctx.exports.Follower);
    this.#sessions = new AssetSessions(this.#db);
    this.#rollouts = new Rollouts(ctx.storage.sql, () => nowOf(env));
    this.#notices = new Notices(ctx.storage.sql, (...args) => fetch(...args));
  }

  /** The Worker, its latest version and its active deployment; undefined where there is no such Worker. */
  async overview(): Promise<WorkerOverview | undefined> {
    await this.#publish();
    const worker = this.#db.worker.state();
    const latest = this.#db.versions.latest();
    if (worker === undefined || latest === undefined) return undefined;
    return { worker, latest, active: this.#db.deployments.active(), lifecycle: this.#db.worker.lifecycle() };
  }

  /** Newest first. */
  versions(): Version[] {
    return this.#db.versions.list(LIMITS.lists.listedVersions);
  }

  /** Some of them, newest first, and how many there are. */
  versionPage({ limit, offset }: Page): Paged<Version> {
    return { items: this.#db.versions.list(limit, offset), total: this.#db.versions.count() };
  }

  version(id: string): Version | undefined {
    return this.#db.versions.get(id);
  }

  /** Newest first; the first one is active. */
  async deployments(): Promise<readonly Deployment[]> {
    await this.#publish();
    return listDeployments(this.#db.deployments.all(), LIMITS.lists.listedDeployments);
  }

  async deploymentPage({ limit, offset }: Page): Promise<Paged<Deployment>> {
    await this.#publish();
    return { items: this.#db.deployments.page(limit, offset), total: this.#db.deployments.count() };
  }

  /** What was done, newest first. It outlives the Worker. */
  audit({ limit, offset }: Page): Paged<AuditEntry> {
    return { items: this.#db.audit.page(limit, offset), total: this.#db.audit.count() };
  }

  /** Notes what was done to a Worker elsewhere than in this record. */
  note(actor: Actor, action: AuditAction, detail: Readonly<Record<string, unknown>>): void {
    this.#db.audit.add(Date.now(), { ...actor, action, detail });
  }

  deployment(id: string): Deployment | undefined {
    return this.#db.deployments.get(id);
  }

  /** The record that the router follows; undefined while nothing is deployed. */
  async record(): Promise<DeploymentRecord | undefined> {
    await this.#publish();
    return this.#record();
  }

  /** To be called before the code of a version is written to KV: should the upload die, the code is deleted. */
  async announce(versionId: string): Promise<void> {
    this.#db.outbox.discard(versionKey(versionId), Date.now() + LIMITS.uploads.orphanAgeMs);
    await this.#schedule();
  }

  /** Begins an upload of assets. The Worker need not exist yet. */
  openAssets(manifest: Manifest): OpenSession {
    return this.ctx.storage.transactionSync(() => this.#sessions.open(manifest, Date.now()));
  }

  assetSession(id: string, hashes: readonly string[]): AnnouncedFiles | undefined {
    return this.#sessions.announced(id, hashes);
  }

  /** Notes files that are in KV now. @returns how many are still to come; undefined where the session is gone */
  addAssets(id: string, hashes: readonly string[]): number | undefined {
    return this.ctx.storage.transactionSync(() => this.#sessions.add(id, hashes));
  }

  claimAssets(id: string): ClaimedFiles | undefined {
    return this.#sessions.claim(id);
  }

  /** Notes a set of assets. @param key KV key */
  addAssetSet(key: string): void {
    this.#db.assets.add(key);
  }

  /** Begins a rollout: the first deployment of its plan, after the candidate has been loaded everywhere. */
  async startRollout(worker: string, input: StartRollout): Promise<Result<Rollout, SluiceError>> {
    const early = this.#planRollout(worker, input);
    if (!early.ok) return early;
    const { candidate, stable } = early.value;
    const prepared = await this.#prepare(worker, [candidate.version_id, stable.version_id]);
    if (!prepared.ok) return prepared;
    return this.#commit((): Result<Rollout, SluiceError> => {
      const planned = this.#planRollout(worker, input);
      if (!planned.ok) return planned;
      return this.#applyToRollout(planned.value, { type: "start" }, input.author);
    });
  }

  /** The newest first. */
  rollouts(): Rollout[] {
    return this.#rollouts.list();
  }

  rollout(id: string): RolloutDetail | undefined {
    const rollout = this.#rollouts.get(id);
    return rollout && { rollout, trail: this.#rollouts.trail(id), history: this.#rollouts.history(id) };
  }

  /** What an operator says to a rollout. */
  async commandRollout(
    worker: string,
    id: string,
    command: RolloutCommand,
    author: Author,
  ): Promise<Result<Rollout, SluiceError>> {
    const rollout = this.#rollouts.get(id);
    if (rollout === undefined) return err({ reason: "rollout-not-found", worker, id });
    const considered = this.#rollouts.consider(rollout, { type: command });
    if (!considered.ok) return considered;
    // Both are loaded as a rule; one whose isolate was lost is loaded again before it gets more.
    if ((considered.value.deploy ?? 0) > 0) {
      const { candidate, stable } = rollout;
      const prepared = await this.#prepare(worker, [candidate.version_id, stable.version_id]);
      if (!prepared.ok) return prepared;
    }
    const decided = Date.now();
    const changed = await this.#commit((): Result<Rollout, SluiceError> => {
      const current = this.#rollouts.get(id);
      if (current === undefined) return err({ reason: "rollout-not-found", worker, id });
      return this.#applyToRollout(current, { type: command }, author);
    });
    this.#settle(id, decided);
    return changed;
  }

  /** To be called after the publication of what may have ended a rollout. @param decided in ms since the epoch */
  #settle(id: string, decided: number): void {
    if (this.#unpublished || this.#rollouts.active()?.id === id) return;
    this.#rollouts.settle(id, Date.now() - decided);
  }

  /** What a router saw of a rollout. */
  async observe(rolloutId: string, observations: readonly Observation[]): Promise<void> {
    if (this.#rollouts.observe(rolloutId, observations)) await this.#look();
    else await this.#schedule();
  }

  /** Asks the gate of the rollout that is under way. */
  async #look(): Promise<void> {
    const rollout = this.#rollouts.active();
    if (rollout === undefined) return;
    const event = this.#rollouts.takeLook();
    const considered = this.#rollouts.consider(rollout, event);
    if (considered.ok && (considered.value.deploy ?? 0) > 0) {
      const { candidate, stable } = rollout;
      const worker = this.#db.worker.name();
      const why = await this.#fleet.prepare(worker, [candidate.version_id, stable.version_id]);
      if (why !== undefined) {
        log("error", "rollout-waits", { worker, rollout: rollout.id, why });
        this.#rollouts.giveBack(event);
        await this.#schedule();
        return;
      }
    }
    const decided = Date.now();
    await this.#commit(() => {
      const current = this.#rollouts.active();
      // Somebody may have ended it while its versions were prepared.
      if (current !== undefined && current.id === rollout.id) this.#applyToRollout(current, event, GATE);
    });
    this.#settle(rollout.id, decided);
    await this.#schedule();
  }

  /** In a transaction. */
  #applyToRollout(rollout: Rollout, event: RolloutEvent, who: Author): Result<Rollout, SluiceError> {
    const applied = this.#rollouts.apply(rollout, event, who, (after, percentage) => {
      const { candidate, stable, plan } = after;
      const shares: Share[] = [
        { ...stable, percentage: Number((100 - percentage).toFixed(3)) },
        { ...candidate, percentage },
      ];
      const versions = percentage === 0 ? shares.slice(0, 1) : percentage === 100 ? shares.slice(1) : shares;
      const { id } = this.#insertDeployment({
        versions,
        author: who,
        source: "api",
        triggered_by: "rollout",
        message: `Rollout ${after.id}: ${after.phase === "running" ? `stage ${after.stage + 1} of ${plan.stages.length}` : after.phase}`,
      });
      return id;
    });
    if (!applied.ok) return applied;
    const { rollout: after, notice } = applied.value;
    const webhooks = this.#db.worker.state()?.settings.webhooks ?? [];
    if (notice !== null) this.#notices.add(webhooks, this.#db.worker.name(), notice, after, Date.now());
    // Routers begin and end to watch with it.
    if (notice !== null || after.phase !== rollout.phase) {
      this.#db.worker.bumpRevision();
      const { id, phase, stage, reason } = after;
      this.#db.audit.add(nowOf(this.env), {
        author: who,
        source: "api",
        action: "rollout",
        detail: { rollout_id: id, event: event.type, phase, stage: stage + 1, reason },
      });
      log("info", "rollout", {
        worker: this.#db.worker.name(),
        rollout: after.id,
        phase: after.phase,
        reason: after.reason,
      });
    }
    return ok(after);
  }

  #planRollout(worker: string, { version, plan, author }: StartRollout): Result<Rollout, SluiceError> {
    const invalid = (detail: string) => err({ reason: "rollout-invalid", detail } as const);
    if (this.#db.worker.state() === undefined) return err({ reason: "worker-not-found", worker });
    const running = this.#rollouts.active();
    if (running !== undefined) return err({ reason: "rollout-active", worker, id: running.id });
    const candidate = this.#findVersion(version);
    if (candidate === undefined) return err({ reason: "version-not-found", worker, version });
    const active = this.#db.deployments.active();
    const others = (active?.versions ?? []).filter(
      ({ version_id, percentage }) => version_id !== candidate.id && percentage > 0,
    );
    const [stable] = others;
    if (stable === undefined || others.length !== 1) {
      return invalid(
        others.length === 0
          ? `version ${candidate.id} has all of the traffic already`
          : "two other versions share the traffic: give one of them all of it first",
      );
    }
    const found = this.#findShares(worker, [{ version_id: candidate.id, percentage: 0 }]);
    if (!found.ok) return found;
    const { version_id, number } = stable;
    return ok(
      this.#rollouts.make(
        { version_id: candidate.id, number: candidate.number },
        { version_id, number },
        plan,
        author,
      ),
    );
  }

  /** @param name id, tag (of the newest version that has it) or `latest` */
  #findVersion(name: string): Version | undefined {
    if (name === "latest") return this.#db.versions.latest();
    return (
      this.#db.versions.get(name) ??
      this.#db.versions.list(LIMITS.lists.listedVersions).find(({ tag }) => tag === name)
    );
  }

  /** A version that is deployed with this is loaded first, and refused where that fails. */
  async recordVersion(worker: string, input: RecordVersion): Promise<Result<Version, SluiceError>> {
    const early = this.#checkVersion(worker, input);
    if (!early.ok) return early;
    if (input.deploy !== null) {
      const prepared = await this.#prepare(worker, [input.version.id]);
      if (!prepared.ok) return prepared;
    }
    return this.#commit((): Result<Version, SluiceError> => {
      const checked = this.#checkVersion(worker, input);
      if (!checked.ok) return checked;
      if (this.#db.worker.state() === undefined) {
        this.#db.worker.create(worker, newId(), new Date().toISOString());
      }
      const version: Version = {
        ...input.version,
        number: this.#db.versions.nextNumber(),
        created_on: this.#db.worker.nextTime(Date.parse(input.version.created_on)),
        ...input.actor,
      };
      this.#db.versions.insert(version);
      const { id: version_id, number, triggered_by, message } = version;
      this.note(input.actor, "version", { version_id, number, triggered_by, message });
      this.#db.outbox.keep(versionKey(version.id));
      const preview: PreviewRecord = { worker, version_id: version.id };
      for (const key of previewLabels(worker, version).map(previewKey)) {
        this.#db.outbox.keep(key);
        this.#db.outbox.writeLater(key, JSON.stringify(preview));
      }
      if (input.lifecycle !== null)
        this.#db.worker.setLifecycle({ ...input.lifecycle, since: version.number });
      const settings = this.#db.worker.state()?.settings;
      if (settings !== undefined) this.#db.worker.setSettings({ ...settings, ...input.settings });
      if (input.deploy !== null) {
        this.#deployFromOutside({
          ...input.deploy,
          ...input.actor,
          versions: [{ version_id: version.id, number: version.number, percentage: 100 }],
        });
      }
      return ok(version);
    });
  }

  #checkVersion(worker: string, input: RecordVersion): Result<null, SluiceError> {
    const latest = this.#db.versions.latest();
    if ((latest?.id ?? null) !== input.basedOn) return err({ reason: "changed-meanwhile", worker });
    if (input.replaces !== null && this.#db.deployments.active()?.id !== input.replaces) {
      return err({ reason: "changed-meanwhile", worker });
    }
    if (latest === undefined && input.deploy === null) return err({ reason: "worker-not-found", worker });
    const active = this.#db.deployments.active();
    if (input.deploy !== null && active?.versions.length === 2 && this.#isProtected()) {
      return err({ reason: "split-protected", worker, versions: active.versions });
    }
    return ok(null);
  }

  /** Refuses what is not valid or cannot be loaded, and changes nothing then. */
  async recordDeployment(worker: string, input: RecordDeployment): Promise<Result<Deployment, SluiceError>> {
    const shares = checkShares(input.shares);
    if (!shares.ok) return shares;
    const early = this.#checkDeployment(worker, shares.value, input);
    if (!early.ok) return early;
    const prepared = await this.#prepare(
      worker,
      early.value.map(({ version_id }) => version_id),
    );
    if (!prepared.ok) return prepared;
    return this.#commit((): Result<Deployment, SluiceError> => {
      const versions = this.#checkDeployment(worker, shares.value, input);
      if (!versions.ok) return versions;
      return ok(
        this.#deployFromOutside({
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
    const found = this.#findShares(worker, shares);
    const active = this.#db.deployments.active();
    if (found.ok && replaces !== null && active?.id !== replaces) {
      return err({ reason: "changed-meanwhile", worker });
    }
    if (!found.ok || force) return found;
    if (active !== undefined && this.#isProtected() && endsSplit(active, found.value)) {
      return err({ reason: "split-protected", worker, versions: active.versions });
    }
    const changed = this.#secretsChangedSince(found.value, active);
    return changed.length > 0 ? err({ reason: "secrets-changed", names: changed }) : found;
  }

  /** Whether `wrangler deploy` may not replace a split. */
  #isProtected(): boolean {
    return this.#rollouts.active() !== undefined || this.#db.worker.state()?.settings.protect === true;
  }

  /** Secrets whose present values all traffic would lose to the older ones of a version. */
  #secretsChangedSince(shares: readonly Share[], active: Deployment | undefined): string[] {
    const newest = Math.max(...(active?.versions ?? []).map(({ number }) => number));
    const [target] = shares;
    if (shares.length !== 1 || target === undefined || target.number >= newest) return [];
    const inUse = active?.versions.find(({ number }) => number === newest);
    if (active?.versions.some(({ version_id }) => version_id === target.version_id)) return [];
    const [before, now] = [target.version_id, inUse?.version_id ?? ""].map((id) => this.#db.versions.get(id));
    return changedSecrets(before?.bindings ?? [], now?.bindings ?? []);
  }

  #findShares(worker: string, shares: readonly ShareInput[]): Result<Share[], SluiceError> {
    if (this.#db.worker.state() === undefined) return err({ reason: "worker-not-found", worker });
    const found: Share[] = [];
    for (const { version_id, percentage } of shares) {
      const version = this.#db.versions.get(version_id);
      if (version === undefined) return err({ reason: "version-not-found", worker, version: version_id });
      if (version.number < this.#db.worker.lifecycle().since) {
        return err({ reason: "before-migration", worker, version: version_id });
      }
      found.push({ version_id, number: version.number, percentage });
    }
    return ok(found);
  }

  /** Traffic moves only to versions that are loaded wherever it is served. */
  async #prepare(worker: string, versions: readonly string[]): Promise<Result<null, SluiceError>> {
    const why = await this.#fleet.prepare(worker, versions);
    return why === undefined ? ok(null) : err({ reason: "version-unloadable", worker, why });
  }

  /** @param previews null for as `enabled` */
  setSubdomain(
    actor: Actor,
    worker: string,
    enabled: boolean,
    previews: boolean | null,
  ): Promise<Result<WorkerState, SluiceError>> {
    return this.#commit((): Result<WorkerState, SluiceError> => {
      const state = this.#db.worker.state();
      if (state === undefined) return err({ reason: "worker-not-found", worker });
      if (state.enabled === enabled && state.settings.previews === previews) return ok(state);
      const settings = { ...state.settings, previews };
      this.#db.worker.setEnabled(enabled);
      this.#db.worker.setSettings(settings);
      this.note(actor, "settings", { enabled, previews });
      this.#db.worker.bumpRevision();
      return ok({ ...state, enabled, settings });
    });
  }

  updateSettings(
    actor: Actor,
    worker: string,
    change: Partial<Settings>,
  ): Promise<Result<Settings, SluiceError>> {
    return this.#commit((): Result<Settings, SluiceError> => {
      const state = this.#db.worker.state();
      if (state === undefined) return err({ reason: "worker-not-found", worker });
      const settings = { ...state.settings, ...change };
      this.#db.worker.setSettings(settings);
      this.note(actor, "settings", withoutSecrets(change));
      if (IN_RECORD.some((name) => name in change)) this.#db.worker.bumpRevision();
      return ok(settings);
    });
  }

  /** Deletes the Worker with all that belongs to it, its code in KV included. */
  async remove(actor: Actor, worker: string): Promise<Result<null, SluiceError>> {
    let versions: readonly string[] = [];
    const removed = await this.#commit((): Result<null, SluiceError> => {
      if (this.#db.worker.state() === undefined) return err({ reason: "worker-not-found", worker });
      versions = this.#db.versions.ids();
      const labels = [
        ...versions.flatMap((id) => previewLabels(worker, { id, alias: null })),
        ...this.#db.versions.aliases().flatMap((alias) => previewLabels(worker, { id: "", alias })),
      ];
      const keys = [...versions.map(versionKey), ...labels.map(previewKey), ...this.#db.assets.keys()];
      for (const key of keys) this.#db.outbox.discard(key, Date.now());
      clearWorker(this.#db);
      this.#rollouts.clear();
      this.#notices.clear();
      this.#db.worker.bumpRevision();
      this.note(actor, "delete", {});
      return ok(null);
    });
    if (removed.ok) {
      // Every process knows that it is gone by now: what they counted before must not come after this.
      await this.#fleet.flush();
      await this.#tellMetrics((metrics) => metrics.forget(worker, versions));
    }
    await this.#schedule();
    return removed;
  }

  override async alarm(): Promise<void> {
    await this.#publish();
    if ((this.#rollouts.nextLook() ?? Number.POSITIVE_INFINITY) <= nowOf(this.env)) await this.#look();
    // Not awaited: whoever hears of it late must not make the gate late.
    if ((this.#notices.next() ?? Number.POSITIVE_INFINITY) <= Date.now()) void this.#deliverNotices();
    // In the same queue as what is written to KV, so that a key that is written again is not deleted after that.
    this.#publishing = this.#publishing.then(() => this.#collect());
    await this.#publishing;
    await this.#schedule();
  }

  async #deliverNotices(): Promise<void> {
    await this.#notices.deliver(Date.now);
    await this.#schedule();
  }

  async #collect(): Promise<void> {
    for (const key of this.#db.outbox.garbage(Date.now())) {
      try {
        await this.env.SLUICE_KV.delete(key);
        this.#db.outbox.keep(key);
      } catch (error) {
        log("error", "delete-failed", { key, why: String(error) });
        this.#db.outbox.discard(key, Date.now() + LIMITS.uploads.orphanAgeMs);
      }
    }
  }

  /** A deployment that no rollout makes: it stands, and ends the one that is under way. */
  #deployFromOutside(input: Omit<Deployment, "id" | "created_on">): Deployment {
    const deployment = this.#insertDeployment(input);
    const rollout = this.#rollouts.active();
    if (rollout !== undefined) {
      this.#applyToRollout(rollout, { type: "taken_over", by: deployment.id }, input.author);
    }
    return deployment;
  }

  #insertDeployment(input: Omit<Deployment, "id" | "created_on">): Deployment {
    const deployment: Deployment = {
      ...input,
      id: crypto.randomUUID(),
      created_on: this.#db.worker.nextTime(Date.now()),
    };
    const { id: deployment_id, author, source, triggered_by, message, versions } = deployment;
    const before = this.#db.deployments.active()?.versions ?? [];
    this.#db.deployments.insert(deployment);
    const detail = { deployment_id, triggered_by, message, before, versions };
    this.note({ author, source }, "deployment", detail);
    this.#db.deployments.setDeployed(
      deployment.versions.map(({ version_id }) => version_id),
      Date.parse(deployment.created_on),
    );
    this.#db.worker.bumpRevision();
    return deployment;
  }

  #record(): DeploymentRecord | undefined {
    const worker = this.#db.worker.state();
    const active = this.#db.deployments.active();
    if (worker === undefined || active === undefined) return undefined;
    const classes = classesByNamespace(this.#db.worker.lifecycle());
    const { affinity, expose_version, retention } = worker.settings;
    const rollout = this.#rollouts.active();
    const retained = retain(
      this.#db.deployments.withAssets(LIMITS.assets.maxRetained),
      retention,
      Date.now(),
    );
    return {
      schema: 1,
      worker: worker.name,
      revision: this.#db.worker.revision().current,
      deployment_id: active.id,
      enabled: worker.enabled,
      versions: active.versions,
      previews: previewsOf(worker),
      ...(classes === undefined ? {} : { classes }),
      ...(affinity === null ? {} : { affinity }),
      ...(expose_version ? { expose_version } : {}),
      ...(retained.length === 0 ? {} : { retained }),
      ...(rollout === undefined
        ? {}
        : { rollout: { id: rollout.id, candidate: rollout.candidate.version_id } }),
    };
  }

  /** One transaction, and the publication of what it changed. */
  async #commit<T>(change: () => T): Promise<T> {
    const result = this.ctx.storage.transactionSync(change);
    if (this.#unpublished) {
      // Not awaited here, so that it is stored together with the change: if this process dies now, the alarm remembers.
      const stored = this.ctx.storage.setAlarm(Date.now() + LIMITS.publishing.publishRetryMs);
      await Promise.all([stored, this.#publish()]);
    }
    return result;
  }

  get #unpublished(): boolean {
    const { current, published } = this.#db.worker.revision();
    return published < current || this.#db.outbox.writesLeft().length > 0;
  }

  /** Brings KV to the current revision, one write at a time, so that an older record never lands on a newer one. */
  #publish(): Promise<void> {
    this.#publishing = this.#publishing.then(() => this.#publishNow());
    return this.#publishing;
  }

  /** Where KV refuses or a process does not hear, the alarm tries again; nothing is undone. Never rejects. */
  async #publishNow(): Promise<void> {
    if (!this.#unpublished) return;
    const { current, published } = this.#db.worker.revision();
    const worker = this.#db.worker.name();
    const record = this.#record();
    try {
      // Nothing is published before it is on disk: a commit that fails must not reach the router.
      await this.ctx.storage.sync();
      for (const { key, value } of this.#db.outbox.writesLeft()) {
        await this.env.SLUICE_KV.put(key, value);
        this.#db.outbox.written(key, value);
      }
      if (published >= current) return;
      let heard = false;
      try {
        if (record !== undefined) await writeRecord(this.env.SLUICE_KV, record, this.#summary(record));
        else await deleteRecord(this.env.SLUICE_KV, worker);
      } finally {
        heard = await this.#fleet.publish(worker, record ?? null);
      }
      if (heard) this.#db.worker.setPublished(current);
    } catch (error) {
      log("error", "publish-failed", { worker, revision: current, why: String(error) });
    }
    await this.#reportStale(worker);
    await this.#schedule();
  }

  /** Says in the metrics whether a process may serve an older deployment. */
  async #reportStale(worker: string): Promise<void> {
    const isStale = this.#unpublished;
    if (isStale === this.#reportedStale) return;
    await this.#tellMetrics((metrics) => metrics.setStale(worker, isStale));
    this.#reportedStale = isStale;
  }

  async #tellMetrics(tell: (metrics: Rpc<Metrics>) => Promise<void>): Promise<void> {
    try {
      await tell(metricsOf(this.env));
    } catch (error) {
      log("error", "metrics-unreachable", { worker: this.#db.worker.name(), why: String(error) });
    }
  }

  /** What lists of Workers show; undefined while nothing is deployed. */
  async summary(): Promise<WorkerSummary | undefined> {
    const record = await this.record();
    return record && this.#summary(record);
  }

  #summary({ revision, enabled, deployment_id, versions }: DeploymentRecord): WorkerSummary {
    const [newest] = this.#rollouts.list();
    return {
      revision,
      enabled,
      created_on: this.#db.worker.state()?.created_on ?? "",
      deployed_on: this.#db.deployments.active()?.created_on ?? "",
      deployment_id,
      versions,
      rollout: newest === undefined ? null : { id: newest.id, phase: newest.phase },
    };
  }

  /** Sets the alarm for what is still to be done, or clears it. */
  async #schedule(): Promise<void> {
    const look = this.#rollouts.nextLook();
    const times = [
      this.#unpublished ? Date.now() + LIMITS.publishing.publishRetryMs : undefined,
      look === undefined ? undefined : alarmTime(this.env, look),
      this.#db.outbox.nextGarbageTime(),
      this.#notices.next(),
    ].filter((time) => time !== undefined);
    if (times.length > 0) await this.ctx.storage.setAlarm(Math.max(Math.min(...times), Date.now()));
    else await this.ctx.storage.deleteAlarm();
  }
}

/** As it may be shown. */
function withoutSecrets({ webhooks, ...change }: Partial<Settings>): Readonly<Record<string, unknown>> {
  return { ...change, ...(webhooks === undefined ? {} : { webhooks: webhooks.map(({ url }) => url) }) };
}

/** The registry of a Worker. */
export function registryOf({ REGISTRY }: Pick<Env, "REGISTRY">, worker: string): Rpc<WorkerRegistry> {
  return stubOf(REGISTRY, worker);
}
