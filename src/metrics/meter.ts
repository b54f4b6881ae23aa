/**
 * Counts requests. A count is a few additions to what is held for a version and a reason; once a second the counts go
 * out behind a request. A batch is sent until it is acknowledged, so a control side that is away loses nothing.
 */
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import type { MeterPort } from "../router/ports.ts";
import type { Decision, Outcome, Reason } from "../router/split.ts";
import { onFlush } from "../versions/changes.ts";
import type { Share } from "../versions/types.ts";
import { bucketOf, noTimes } from "./histogram.ts";
import type { CountBatch, CountRow } from "./types.ts";

type SendCounts = (batch: CountBatch) => Promise<void>;

/** What is counted for a version and a reason, and not sent yet. */
interface Tally extends Record<Outcome, number> {
  readonly worker: string;
  /** Sum of the times, in ms. */
  ms: number;
  readonly buckets: number[];
}

type Tallies = Partial<Record<Reason, Tally>>;

export class Meter implements MeterPort {
  readonly #send: SendCounts;
  #sender: string | undefined;
  #seq = 0;
  /** By the share that the requests' decisions have in common. */
  #due = new Map<Share, Tallies>();
  #stale = new Set<string>();
  /** Sent, but not acknowledged. */
  #batch: CountBatch | undefined;
  /** Whether the last attempt failed: logged once, not every second. */
  #isKeeping = false;
  /** Stands for the request behind which counts are sent. */
  #courier: object | undefined;
  /** How often it has sent. */
  #rounds = 0;

  constructor(send: SendCounts) {
    this.#send = send;
    onFlush(() => this.flush());
  }

  count(
    decision: Decision,
    outcome: Outcome,
    started: number,
    ctx: Pick<ExecutionContext, "waitUntil">,
  ): void {
    const tally = this.#tallyOf(decision);
    const ms = Math.max(Date.now() - started, 0);
    tally[outcome]++;
    tally.ms += ms;
    const bucket = bucketOf(ms);
    tally.buckets[bucket] = (tally.buckets[bucket] ?? 0) + 1;
    // No request goes on for ever for the others' sake: the next one takes over.
    if (this.#courier !== undefined && this.#rounds < LIMITS.metrics.countRounds) return;
    this.#rounds = 0;
    this.#courier = {};
    ctx.waitUntil(this.#carry(this.#courier));
  }

  #tallyOf({ worker, version, reason }: Decision): Tally {
    let tallies = this.#due.get(version);
    if (tallies === undefined) {
      tallies = {};
      this.#due.set(version, tallies);
    }
    tallies[reason] ??= { worker, ok: 0, error: 0, exception: 0, ms: 0, buckets: noTimes() };
    return tallies[reason];
  }

  /** Sent with the next counts. */
  noteStale(worker: string): void {
    if (this.#stale.size < LIMITS.metrics.maxStaleNoted) this.#stale.add(worker);
  }

  async #carry(courier: object): Promise<void> {
    while (this.#courier === courier) {
      await new Promise((resolve) => setTimeout(resolve, LIMITS.metrics.countMs));
      if (this.#courier !== courier) return;
      this.#rounds++;
      await this.flush();
      const isDone = this.#due.size === 0 && this.#batch === undefined;
      if (isDone && this.#courier === courier) this.#courier = undefined;
    }
  }

  /** Sends what has been counted. Where that fails it is kept. Never rejects. */
  async flush(): Promise<void> {
    if (this.#batch !== undefined && !(await this.#deliver(this.#batch))) return;
    if (this.#due.size > 0 || this.#stale.size > 0) this.#batch ??= this.#take();
    // Also what another flush took meanwhile: whoever waits for this one wants all that was counted before.
    if (this.#batch !== undefined) await this.#deliver(this.#batch);
  }

  async #deliver(batch: CountBatch): Promise<boolean> {
    try {
      await this.#send(batch);
    } catch (error) {
      if (!this.#isKeeping) log("warn", "counts-kept", { rows: batch.rows.length, why: String(error) });
      this.#isKeeping = true;
      return false;
    }
    this.#isKeeping = false;
    // Two may have sent it.
    if (this.#batch === batch) this.#batch = undefined;
    return true;
  }

  #take(): CountBatch {
    this.#sender ??= crypto.randomUUID();
    const rows = [...this.#due].flatMap(([{ version_id }, tallies]) =>
      Object.entries(tallies).map(
        ([reason, tally]): CountRow => ({ version_id, reason: reason as Reason, ...tally }),
      ),
    );
    const stale = [...this.#stale];
    this.#due = new Map();
    this.#stale.clear();
    return { sender: this.#sender, seq: ++this.#seq, rows, stale };
  }
}
