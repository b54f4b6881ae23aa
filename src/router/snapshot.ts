/**
 * The last good deployment of each Worker, per isolate.
 *
 * Guarantee: a Worker that was read once is served from memory until KV says that it is gone. A read that fails or a
 * record that does not parse changes nothing and is logged. A record of an older revision than the one held is
 * ignored, so an eventually consistent read cannot turn a deployment back.
 * Bound: a deployment published elsewhere is followed after at most `refreshMs` plus KV's own propagation where requests
 * keep coming, and by the first request after a pause of `LIMITS.snapshot.maxStaleMs`; one published in this process at once
 * (`onReplicated`).
 */
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { onReplicated } from "../versions/changes.ts";
import type { DeploymentRecord } from "../versions/record.ts";
import { parseDeploymentRecord } from "../versions/record.ts";
import { readRecord } from "../versions/replica.ts";
import { compileSplit, type Split } from "./split.ts";

interface Entry {
  readonly worker: string;
  /** Undefined once the Worker is gone: hosts may still lead here. */
  split: Split | undefined;
  /** When a request should have it read again, in ms since the epoch. */
  refreshAt: number;
}

/** What is known of a Worker after asking KV. */
type Lookup = Split | "absent" | "unavailable";

interface SnapshotOptions {
  /** What else is read again with a deployment. */
  readonly alsoRefresh?: () => Promise<void>;
  /** Told of each Worker whose deployment cannot be read. */
  readonly onUnreadable?: (worker: string) => void;
  /** What is served of a record. Default: all of it. */
  readonly served?: ((record: DeploymentRecord) => DeploymentRecord) | undefined;
}

export class Snapshot {
  readonly #kv: KVNamespace;
  readonly #refreshMs: number;
  readonly #alsoRefresh: () => Promise<void>;
  readonly #onUnreadable: (worker: string) => void;
  readonly #served: (record: DeploymentRecord) => DeploymentRecord;
  readonly #entries = new Map<string, Entry>();
  /** The hosts under which Workers were asked for, as they were written. */
  readonly #hosts = new Map<string, Entry>();
  /** Workers that KV did not have, and until when that is believed. Insertion order is age. */
  readonly #absentUntil = new Map<string, number>();
  /** When the first read of a Worker's deployment began that is under way, in ms since the epoch. */
  readonly #readingSince = new Map<string, number>();
  /** Grows when hosts may lead elsewhere. */
  epoch = 0;
  /** Changes of any Worker that were published in this process. */
  #published = 0;

  /** @param refreshMs age at which a deployment is read again */
  constructor(
    kv: KVNamespace,
    refreshMs: number = LIMITS.snapshot.snapshotRefreshMs,
    {
      alsoRefresh = async () => {},
      onUnreadable = () => {},
      served = (record) => record,
    }: SnapshotOptions = {},
  ) {
    this.#kv = kv;
    this.#refreshMs = refreshMs;
    this.#alsoRefresh = alsoRefresh;
    this.#onUnreadable = onUnreadable;
    this.#served = served;
    onReplicated((worker, record) => {
      this.#published++;
      if (record === null) this.#forget(worker);
      else this.#adopt(worker, record);
    });
  }

  /**
   * The deployment held for a host, without I/O. Where it is due for a read, that goes on behind the request; undefined
   * where it is so old that `load` should be asked.
   */
  get(host: string, ctx: Pick<ExecutionContext, "waitUntil">): Split | undefined {
    const entry = this.#hosts.get(host);
    return entry && this.#current(entry, ctx);
  }

  /** The same by the Worker's name. */
  of(worker: string, ctx: Pick<ExecutionContext, "waitUntil">): Split | undefined {
    const entry = this.#entries.get(worker);
    return entry && this.#current(entry, ctx);
  }

  /** To be called when hosts may lead elsewhere. */
  forgetHosts(): void {
    this.#hosts.clear();
    this.epoch++;
  }

  #current(entry: Entry, ctx: Pick<ExecutionContext, "waitUntil">): Split | undefined {
    const now = Date.now();
    if (now >= entry.refreshAt && entry.split !== undefined) {
      if (this.#isStale(entry)) return undefined;
      entry.refreshAt = now + this.#refreshMs;
      ctx.waitUntil(Promise.all([this.refresh(entry.worker), this.#alsoRefresh()]));
    }
    return entry.split;
  }

  /**
   * The deployment of a Worker that `get` and `of` do not give, from memory or from KV. Never rejects.
   *
   * @param host all of whose paths lead to the Worker: `get` knows it from now on
   * @param epoch from before it was known where the host leads: what has changed since is not remembered
   */
  async load(worker: string, host?: string, epoch = this.epoch): Promise<Lookup> {
    const held = this.#entries.get(worker);
    const found =
      held?.split === undefined
        ? await this.#readFirst(worker)
        : this.#isStale(held)
          ? await this.#refreshInTime(held, held.split)
          : held.split;
    const entry = this.#entries.get(worker);
    if (entry !== undefined && host !== undefined && epoch === this.epoch) this.#remember(host, entry);
    return found;
  }

  /** Many requests may be the first ones: one of them reads, and the others wait for it. They may not await its promise. */
  async #readFirst(worker: string): Promise<Lookup> {
    while (Date.now() - (this.#readingSince.get(worker) ?? 0) < LIMITS.snapshot.staleWaitMs) await pause();
    const split = this.#entries.get(worker)?.split;
    if (split !== undefined) return split;
    this.#readingSince.set(worker, Date.now());
    try {
      return await this.refresh(worker);
    } finally {
      this.#readingSince.delete(worker);
    }
  }

  #isStale({ refreshAt }: Entry): boolean {
    return Date.now() >= refreshAt - this.#refreshMs + LIMITS.snapshot.maxStaleMs;
  }

  async #refreshInTime(entry: Entry, split: Split): Promise<Lookup> {
    const slow = new Promise<Split>((resolve) => setTimeout(resolve, LIMITS.snapshot.staleWaitMs, split));
    const found = await Promise.race([this.refresh(entry.worker), slow]);
    // KV is slow or cannot be read: the next request need not wait for it as well.
    entry.refreshAt = Math.max(entry.refreshAt, Date.now() + this.#refreshMs);
    return found;
  }

  /** Asks KV for a Worker's deployment. Never rejects. */
  async refresh(worker: string): Promise<Lookup> {
    if ((this.#absentUntil.get(worker) ?? 0) > Date.now()) return "absent";
    let text: string | null;
    let published: number;
    do {
      // What is published while the read is under way is newer than its answer, so the answer is not believed.
      published = this.#published;
      try {
        text = await readRecord(this.#kv, worker);
      } catch (error) {
        return this.#keep(worker, `KV cannot be read: ${error}`);
      }
    } while (published !== this.#published);
    if (text === null) {
      this.#forget(worker);
      this.#rememberAbsent(worker);
      return "absent";
    }
    const record = parseDeploymentRecord(text);
    if (record === undefined) return this.#keep(worker, "the record does not parse");
    return this.#adopt(worker, record);
  }

  #adopt(worker: string, record: DeploymentRecord): Split {
    this.#absentUntil.delete(worker);
    const refreshAt = Date.now() + this.#refreshMs;
    const held = this.#entries.get(worker);
    if (held?.split !== undefined && held.split.record.revision >= record.revision) {
      held.refreshAt = refreshAt;
      return held.split;
    }
    const split = compileSplit(this.#served(record));
    if (held === undefined) this.#entries.set(worker, { worker, split, refreshAt });
    else Object.assign(held, { split, refreshAt });
    return split;
  }

  #forget(worker: string): void {
    const held = this.#entries.get(worker);
    if (held !== undefined) held.split = undefined;
    this.#entries.delete(worker);
  }

  #keep(worker: string, why: string): Lookup {
    const held = this.#entries.get(worker)?.split;
    if (held !== undefined) this.#onUnreadable(worker);
    log("error", "deployment-unreadable", { worker, why, serving: held?.record.deployment_id ?? null });
    return held ?? "unavailable";
  }

  #remember(host: string, entry: Entry): void {
    if (host.length > LIMITS.snapshot.maxHostLength) return;
    if (this.#hosts.size >= LIMITS.snapshot.maxHosts) this.#hosts.clear();
    // The host is a slice of its request's URL and would keep that in memory: a string of its own does not.
    this.#hosts.set(host.split("").join(""), entry);
  }

  #rememberAbsent(worker: string): void {
    this.#absentUntil.delete(worker);
    this.#absentUntil.set(worker, Date.now() + LIMITS.snapshot.absentMs);
    if (this.#absentUntil.size <= LIMITS.snapshot.maxAbsent) return;
    const oldest = this.#absentUntil.keys().next().value;
    if (oldest !== undefined) this.#absentUntil.delete(oldest);
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2));
}
