/**
 * Counts what requests came to. A count is a few additions to an object that hangs on the decision; once a second what has been
 * counted goes out behind a request. A batch is sent until it is acknowledged, so a control side that is away loses nothing.
 */
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import type { Decision, Tally } from "../router/split.ts";
import { onFlush } from "../versions/changes.ts";
import { bucketOf, noTimes } from "./histogram.ts";
import type { CountBatch, CountRow, Outcome } from "./types.ts";

type SendCounts = (batch: CountBatch) => Promise<void>;

interface Due {
  readonly worker: string;
  readonly decision: Decision;
}

export class Meter {
  readonly #send: SendCounts;
  #sender: string | undefined;
  #seq = 0;
  #due: Due[] = [];
  #stale = new Set<string>();
  /** Sent, but not acknowledged. */
  #batch: CountBatch | undefined;
  /** Whether the last attempt failed: said once, not every second. */
  #isKeeping = false;
  /** Stands for the request behind which counts are sent. */
  #courier: object | undefined;
  /** How often it has sent. */
  #rounds = 0;

  constructor(send: SendCounts) {
    this.#send = send;
    onFlush(() => this.flush());
  }

  /** The answer of a version begins. @param started when it got the request, in ms since the epoch */
  count(
    worker: string,
    decision: Decision,
    outcome: Outcome,
    started: number,
    ctx: Pick<ExecutionContext, "waitUntil">,
  ): void {
    if (decision.tally === undefined) {
      decision.tally = { ok: 0, error: 0, exception: 0, ms: 0, buckets: noTimes() };
      this.#due.push({ worker, decision });
    }
    const { tally } = decision;
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

  /** Notes that the deployment of a Worker cannot be read. Sent with the next counts. */
  noteStale(worker: string): void {
    if (this.#stale.size < LIMITS.metrics.maxStaleNoted) this.#stale.add(worker);
  }

  async #carry(courier: object): Promise<void> {
    while (this.#courier === courier) {
      await new Promise((resolve) => setTimeout(resolve, LIMITS.metrics.countMs));
      if (this.#courier !== courier) return;
      this.#rounds++;
      await this.flush();
      const isDone = this.#due.length === 0 && this.#batch === undefined;
      if (isDone && this.#courier === courier) this.#courier = undefined;
    }
  }

  /** Sends what has been counted. Where that fails it is kept. Never rejects. */
  async flush(): Promise<void> {
    if (this.#batch !== undefined && !(await this.#deliver(this.#batch))) return;
    if (this.#due.length > 0 || this.#stale.size > 0) this.#batch ??= this.#take();
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
    const rows = this.#due.map(({ worker, decision }): CountRow => {
      const tally = decision.tally as Tally;
      decision.tally = undefined;
      return { worker, version_id: decision.version.version_id, reason: decision.reason, ...tally };
    });
    const stale = [...this.#stale];
    this.#due = [];
    this.#stale.clear();
    return { sender: this.#sender, seq: ++this.#seq, rows, stale };
  }
}
