/**
 * The last good deployment of each Worker, per isolate.
 *
 * Guarantee: a Worker that was read once is served from memory until KV says that it is gone. A read that fails or a
 * record that does not parse changes nothing and is logged. A record of an older revision than the one held is
 * ignored, so an eventually consistent read cannot turn a deployment back.
 * Bound: a deployment published elsewhere is followed after at most `LIMITS.snapshotRefreshMs` plus KV's own
 * propagation; one published in this process at once (`onReplicated`).
 */
import { LIMITS } from "../limits.ts";
import { log } from "../log.ts";
import { parseDeploymentRecord } from "../versions/deployment.ts";
import { onReplicated, readRecord } from "../versions/replica.ts";
import type { DeploymentRecord } from "../versions/types.ts";
import { compileSplit, type Split } from "./split.ts";

interface Entry {
  readonly split: Split;
  /** When a request should have it read again, in ms since the epoch. */
  refreshAt: number;
}

/** What is known of a Worker after asking KV. */
export type Lookup = Split | "absent" | "unavailable";

export class Snapshot {
  readonly #kv: KVNamespace;
  readonly #entries = new Map<string, Entry>();
  /** Workers that KV did not have, and until when that is believed. Insertion order is age. */
  readonly #absentUntil = new Map<string, number>();
  /** Changes of any Worker that were published in this process. */
  #published = 0;

  constructor(kv: KVNamespace) {
    this.#kv = kv;
    onReplicated((worker, record) => {
      this.#published++;
      if (record === null) this.#entries.delete(worker);
      else this.#adopt(worker, record);
    });
  }

  /** The deployment held for a Worker, without I/O. Where it is due for a read, that goes on behind the request. */
  get(worker: string, ctx: Pick<ExecutionContext, "waitUntil">): Split | undefined {
    const entry = this.#entries.get(worker);
    if (entry === undefined) return undefined;
    const now = Date.now();
    if (now >= entry.refreshAt) {
      entry.refreshAt = now + LIMITS.snapshotRefreshMs;
      ctx.waitUntil(this.load(worker));
    }
    return entry.split;
  }

  /** Asks KV. Never rejects. */
  async load(worker: string): Promise<Lookup> {
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
      this.#entries.delete(worker);
      this.#rememberAbsent(worker);
      return "absent";
    }
    const record = parseDeploymentRecord(text);
    if (record === undefined) return this.#keep(worker, "the record does not parse");
    return this.#adopt(worker, record);
  }

  #adopt(worker: string, record: DeploymentRecord): Split {
    this.#absentUntil.delete(worker);
    const refreshAt = Date.now() + LIMITS.snapshotRefreshMs;
    const held = this.#entries.get(worker);
    if (held !== undefined && held.split.record.revision >= record.revision) {
      held.refreshAt = refreshAt;
      return held.split;
    }
    const split = compileSplit(record);
    this.#entries.set(worker, { split, refreshAt });
    return split;
  }

  #keep(worker: string, why: string): Lookup {
    const held = this.#entries.get(worker);
    log("error", "deployment-unreadable", { worker, why, serving: held?.split.record.deployment_id ?? null });
    return held?.split ?? "unavailable";
  }

  #rememberAbsent(worker: string): void {
    this.#absentUntil.delete(worker);
    this.#absentUntil.set(worker, Date.now() + LIMITS.absentMs);
    if (this.#absentUntil.size <= LIMITS.maxAbsent) return;
    const oldest = this.#absentUntil.keys().next().value;
    if (oldest !== undefined) this.#absentUntil.delete(oldest);
  }
}
