/**
 * Commits changes of a Worker's record and publishes them to KV and every process. Owns the object's one alarm, which
 * repeats a publication that failed and wakes the object for everything else that is due.
 */
import { alarmTime } from "../lib/clock.ts";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import type { Rpc } from "../lib/rpc.ts";
import { type Metrics, metricsOf } from "../metrics/store.ts";
import type { Notices } from "../rollout/notify.ts";
import type { Rollouts } from "../rollout/runner.ts";
import type { Fleet } from "../runtime/fleet.ts";
import { type Publication, Publishing } from "../runtime/publishing.ts";
import { deleteRecord, writeRecord } from "../versions/replica.ts";
import { recordOf, summaryOf } from "./record.ts";
import type { Database } from "./sql/index.ts";

export interface PublisherOptions {
  readonly storage: DurableObjectStorage;
  readonly env: Env;
  readonly db: Database;
  readonly fleet: Fleet;
  readonly rollouts: Rollouts;
  readonly notices: Notices;
}

export class Publisher {
  readonly #storage: DurableObjectStorage;
  readonly #env: Env;
  readonly #db: Database;
  readonly #fleet: Fleet;
  readonly #rollouts: Rollouts;
  readonly #notices: Notices;
  readonly #publishing: Publishing;
  /** What the metrics were last told; undefined before that. */
  #reportedStale: boolean | undefined;

  constructor({ storage, env, db, fleet, rollouts, notices }: PublisherOptions) {
    this.#storage = storage;
    this.#env = env;
    this.#db = db;
    this.#fleet = fleet;
    this.#rollouts = rollouts;
    this.#notices = notices;
    this.#publishing = new Publishing(
      storage,
      () => this.#next(),
      async () => {
        await this.#reportStale();
        await this.schedule();
      },
    );
  }

  /** Whether KV or a process may lack something that was committed. */
  get isBehind(): boolean {
    const { current, published } = this.#db.worker.revision();
    return published < current || this.#db.outbox.writesLeft().length > 0;
  }

  /** Runs a change in one transaction and publishes the result. */
  async commit<T>(change: () => T): Promise<T> {
    const result = this.#storage.transactionSync(change);
    if (this.isBehind) {
      // Not awaited here, so that it is stored together with the change: if this process dies now, the alarm remembers.
      const stored = this.#storage.setAlarm(Date.now() + LIMITS.publishing.publishRetryMs);
      await Promise.all([stored, this.publish()]);
    }
    return result;
  }

  /** Brings KV and every process to the current revision. Where that fails, the alarm tries again. Never rejects. */
  publish(): Promise<void> {
    return this.#publishing.publish();
  }

  #next(): Publication | undefined {
    if (!this.isBehind) return undefined;
    const { current, published } = this.#db.worker.revision();
    const worker = this.#db.worker.name();
    const record = recordOf(this.#db, this.#rollouts.active(), Date.now());
    const isRecordBehind = published < current;
    return {
      subject: { worker, revision: current },
      prepare: () => this.#writeLeft(),
      write: async () => {
        if (!isRecordBehind) return;
        const kv = this.#env.SLUICE_KV;
        if (record === undefined) await deleteRecord(kv, worker);
        else await writeRecord(kv, record, summaryOf(this.#db, record, this.#rollouts.list()[0]));
      },
      tell: async () => !isRecordBehind || this.#fleet.publish(worker, record ?? null),
      confirm: () => this.#db.worker.setPublished(current),
    };
  }

  /** Writes the pending values of other keys to KV, one after the other. */
  async #writeLeft(): Promise<void> {
    for (const { key, value } of this.#db.outbox.writesLeft()) {
      await this.#env.SLUICE_KV.put(key, value);
      this.#db.outbox.written(key, value);
    }
  }

  /** Deletes what is due from KV. Runs in the queue of publications, so that a key that is written again stays. */
  collect(): Promise<void> {
    return this.#publishing.enqueue(async () => {
      for (const key of this.#db.outbox.garbage(Date.now())) {
        try {
          await this.#env.SLUICE_KV.delete(key);
          this.#db.outbox.keep(key);
        } catch (error) {
          log("error", "delete-failed", { key, why: String(error) });
          this.#db.outbox.discard(key, Date.now() + LIMITS.uploads.orphanAgeMs);
        }
      }
    });
  }

  /** Tells the metrics whether a process may serve an older deployment. */
  async #reportStale(): Promise<void> {
    const isStale = this.isBehind;
    if (isStale === this.#reportedStale) return;
    const worker = this.#db.worker.name();
    await this.tellMetrics((metrics) => metrics.setStale(worker, isStale));
    this.#reportedStale = isStale;
  }

  /** Never rejects: deployments go on without the metrics. */
  async tellMetrics(tell: (metrics: Rpc<Metrics>) => Promise<void>): Promise<void> {
    try {
      await tell(metricsOf(this.#env));
    } catch (error) {
      log("error", "metrics-unreachable", { worker: this.#db.worker.name(), why: String(error) });
    }
  }

  /** Sets the alarm for whatever is due next, or clears it. */
  async schedule(): Promise<void> {
    const look = this.#rollouts.nextLook();
    const times = [
      this.isBehind ? Date.now() + LIMITS.publishing.publishRetryMs : undefined,
      look === undefined ? undefined : alarmTime(this.#env, look),
      this.#db.outbox.nextGarbageTime(),
      this.#notices.next(),
    ].filter((time) => time !== undefined);
    if (times.length > 0) await this.#storage.setAlarm(Math.max(Math.min(...times), Date.now()));
    else await this.#storage.deleteAlarm();
  }
}
