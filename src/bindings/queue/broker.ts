/**
 * A queue: messages stay on disk until a consumer has acknowledged them. They are delivered at least once, in batches, one
 * batch at a time. The consumer's split picks the version of each batch, with the batch's id as key.
 */

import { DurableObject } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { newId } from "../../lib/ids.ts";
import { LIMITS } from "../../lib/limits.ts";
import { log } from "../../lib/log.ts";
import { type Rpc, stubOf } from "../../lib/rpc.ts";
import { addColumns } from "../../lib/sqlite.ts";
import { putOff } from "../../lib/safe-mode.ts";
import { type Delivery, sendEvent } from "../../runtime/events.ts";
import { codeNow, lifetimeOf, reportHeld } from "../../runtime/held.ts";
import { isUp } from "../../runtime/up.ts";
import { HELD_AT } from "../../versions/held.ts";
import { QUEUE_ENTRYPOINT } from "../../versions/names.ts";
import { batchOf, type Consumer, fateOf, nextDelivery, type Waiting } from "./delivery.ts";
import type { BatchOutcome, DeliveredBatch, QueuedMessage, QueueMetrics } from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS message (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  sent INTEGER NOT NULL,      -- ms since the epoch
  ready INTEGER NOT NULL,     -- when it may be delivered, ms since the epoch
  attempts INTEGER NOT NULL DEFAULT 0,
  type TEXT NOT NULL,
  size INTEGER NOT NULL,      -- bytes, as its sender counted them; the body is at body/<seq>
  deaths INTEGER NOT NULL DEFAULT 0, -- ends of the process while it was delivered
  code TEXT,                  -- the code that it was delivered to last
  begun TEXT                  -- lifetime of the process that delivers it; NULL while it waits
);
CREATE INDEX IF NOT EXISTS message_ready ON message (ready);
`;

interface Row extends Record<string, SqlStorageValue> {
  seq: number;
  id: string;
  sent: number;
  ready: number;
  attempts: number;
  type: string;
  deaths: number;
  code: string | null;
}

/** Columns that a queue of an earlier release does not have. */
const LATER_COLUMNS = ["deaths INTEGER NOT NULL DEFAULT 0", "code TEXT", "begun TEXT"];

export class QueueBroker extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  /** Held messages that the Worker's registry has not been told of. */
  readonly #unreported: { readonly id: string; readonly code: string }[] = [];

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#createTable();
    this.#noteInterrupted();
  }

  #createTable(): void {
    this.#sql.exec(SCHEMA);
    addColumns(this.#sql, "message", LATER_COLUMNS);
  }

  /** Messages whose delivery an end of this process has cut off. Where another process runs consumers, none is to blame. */
  #noteInterrupted(): void {
    if (this.env.SLUICE_LANE === undefined) {
      const interrupted = this.#sql.exec<{ id: string; deaths: number; code: string }>(
        `UPDATE message SET deaths = deaths + 1 WHERE begun IS NOT NULL AND begun <> ?
         RETURNING id, deaths, code`,
        lifetimeOf(this.env),
      );
      for (const { id, deaths, code } of interrupted)
        if (deaths >= HELD_AT) this.#unreported.push({ id, code });
    }
    this.#sql.exec("UPDATE message SET begun = NULL WHERE begun IS NOT NULL");
  }

  /** Resolves once the messages are on disk, with the metrics from before they came. */
  async send(queue: string, messages: readonly QueuedMessage[]): Promise<QueueMetrics> {
    const metrics = this.metrics();
    const now = Date.now();
    this.ctx.storage.transactionSync(() => {
      this.ctx.storage.kv.put("queue", queue);
      for (const message of messages) this.#insert(message, now);
    });
    await this.#schedule();
    await this.ctx.storage.sync();
    return metrics;
  }

  metrics(): QueueMetrics {
    const { n, bytes, oldest } = this.#sql
      .exec<{ n: number; bytes: number; oldest: number | null }>(
        "SELECT count(*) AS n, coalesce(sum(size), 0) AS bytes, min(sent) AS oldest FROM message",
      )
      .one();
    const counts = { backlogCount: n, backlogBytes: bytes };
    return oldest === null ? counts : { ...counts, oldestMessageTimestamp: new Date(oldest) };
  }

  consumer(): Consumer | undefined {
    return this.ctx.storage.kv.get<Consumer>("consumer");
  }

  async setConsumer(queue: string, consumer: Consumer | null): Promise<void> {
    const { kv } = this.ctx.storage;
    kv.put("queue", queue);
    if (consumer === null) kv.delete("consumer");
    else kv.put("consumer", consumer);
    await this.#schedule();
  }

  /** Deletes the messages. @param everything whether to delete the consumer too, because the queue is deleted */
  async clear(everything: boolean): Promise<void> {
    for (const { seq } of this.#sql.exec<Row>("SELECT * FROM message").toArray()) this.#remove(seq);
    if (everything) await this.ctx.storage.deleteAll();
    this.#createTable();
  }

  override async alarm(): Promise<void> {
    const consumer = this.consumer();
    if (consumer === undefined) return;
    if (await putOff(this.env, this.ctx.storage)) return;
    try {
      const code = (await codeNow(this.env, consumer.worker)) ?? "";
      this.#releaseOthers(code);
      while ((nextDelivery(this.#waiting(), consumer, Date.now()) ?? Infinity) <= Date.now()) {
        if (await putOff(this.env, this.ctx.storage)) return;
        await this.#deliver(consumer, code);
      }
      await this.#schedule();
    } catch (error) {
      // Not a failure of the handler, which comes back as an outcome. The batch is tried again after a pause.
      log("error", "queue-undelivered", { queue: this.#name(), worker: consumer.worker, why: String(error) });
      await this.ctx.storage.setAlarm(Date.now() + LIMITS.bindings.queueRetryMs);
    }
    await this.#report(consumer.worker);
  }

  /** What other code did says nothing about the code that runs now. */
  #releaseOthers(code: string): void {
    this.#sql.exec("UPDATE message SET deaths = 0 WHERE deaths > 0 AND code IS NOT ?", code);
  }

  async #deliver(consumer: Consumer, code: string): Promise<void> {
    if (this.env.SLUICE_OBJECTS !== undefined && !isUp("objects"))
      throw new Error("the process of consumers is being restarted");
    const ready = this.#sql
      .exec<Row>(
        "SELECT * FROM message WHERE ready <= ? AND deaths < ? ORDER BY seq LIMIT ?",
        Date.now(),
        HELD_AT,
        consumer.batch_size,
      )
      .toArray();
    const rows = ready.slice(0, batchOf(ready));
    const id = crypto.randomUUID();
    const counted = rows.map((row) => ({ ...row, attempts: row.attempts + 1 }));
    this.#begin(counted, code);
    const messages = counted.map(({ seq, id: message, sent, attempts, type }) => ({
      id: message,
      timestamp: new Date(sent),
      attempts,
      type,
      body: this.ctx.storage.kv.get(bodyKey(seq)),
    }));
    const metrics = this.metrics();
    const queue = this.#name();
    const info = { queue, batchSize: messages.length };
    const batch: DeliveredBatch = { id, queue, messages, metrics };
    const event = { key: id, entrypoint: QUEUE_ENTRYPOINT, info, event: batch };
    let delivery: Delivery<BatchOutcome>;
    try {
      delivery = await sendEvent<BatchOutcome>(this.env, consumer.worker, event);
    } catch (error) {
      this.#lost(counted, code);
      throw error;
    }
    const { version_id, outcome, error } = delivery;
    this.#end(version_id === undefined ? rows : counted);
    if (outcome === undefined) throw new Error(error ?? `"${consumer.worker}" has no queue handler`);
    await this.#settle(counted, outcome, consumer);
  }

  /** On disk before anything runs: after a crash it shows what was under way. */
  #begin(rows: readonly Row[], code: string): void {
    const begun = lifetimeOf(this.env);
    this.ctx.storage.transactionSync(() => {
      for (const { seq, attempts } of rows) {
        this.#sql.exec(
          "UPDATE message SET attempts = ?, code = ?, begun = ? WHERE seq = ?",
          attempts,
          code,
          begun,
          seq,
        );
      }
    });
  }

  #end(rows: readonly Row[]): void {
    this.ctx.storage.transactionSync(() => {
      for (const { seq, attempts } of rows) {
        this.#sql.exec("UPDATE message SET attempts = ?, begun = NULL WHERE seq = ?", attempts, seq);
      }
    });
  }

  /** The process that ran the consumer has ended. From now on these messages are delivered one at a time, or not at all. */
  #lost(rows: readonly Row[], code: string): void {
    this.ctx.storage.transactionSync(() => {
      for (const { seq } of rows) {
        this.#sql.exec("UPDATE message SET deaths = deaths + 1, begun = NULL WHERE seq = ?", seq);
      }
    });
    const held = rows.filter(({ deaths }) => deaths + 1 >= HELD_AT);
    this.#unreported.push(...held.map(({ id }) => ({ id, code })));
  }

  async #report(worker: string): Promise<void> {
    for (const { id, code } of this.#unreported.splice(0)) {
      await reportHeld(this.env, worker, { kind: "message", what: `${this.#name()}/${id}`, code });
    }
  }

  async #settle(rows: readonly Row[], outcome: BatchOutcome, consumer: Consumer): Promise<void> {
    const dead: Row[] = [];
    this.ctx.storage.transactionSync(() => {
      for (const row of rows) {
        const fate = fateOf(row, outcome, consumer, Date.now());
        if (fate.kind === "retry")
          this.#sql.exec("UPDATE message SET ready = ? WHERE seq = ?", fate.at, row.seq);
        else if (fate.kind === "dead") dead.push(row);
        else this.#remove(row.seq);
      }
    });
    if (dead.length > 0) await this.#bury(dead, consumer.dead_letter_queue);
  }

  /** Sends messages to the dead letter queue before it deletes them here: a crash in between duplicates them, and loses none. */
  async #bury(rows: readonly Row[], queue: string | null): Promise<void> {
    if (queue !== null) {
      const { kv } = this.ctx.storage;
      const messages = rows.map(({ seq, type }) => ({ type, body: kv.get(bodyKey(seq)), size: 0, delay: 0 }));
      await brokerOf(this.env, queue).send(queue, messages);
    } else {
      log("warn", "queue-messages-dropped", { queue: this.#name(), count: rows.length });
    }
    this.ctx.storage.transactionSync(() => {
      for (const { seq } of rows) this.#remove(seq);
    });
  }

  #insert({ type, body, size, delay }: QueuedMessage, now: number): void {
    this.#sql.exec(
      "INSERT INTO message (id, sent, ready, type, size) VALUES (?, ?, ?, ?, ?)",
      newId(),
      now,
      now + delay * 1000,
      type,
      size,
    );
    const { seq } = this.#sql.exec<{ seq: number }>("SELECT last_insert_rowid() AS seq").one();
    this.ctx.storage.kv.put(bodyKey(seq), body);
  }

  #remove(seq: number): void {
    this.#sql.exec("DELETE FROM message WHERE seq = ?", seq);
    this.ctx.storage.kv.delete(bodyKey(seq));
  }

  #waiting(): Waiting {
    const { ready, since, next } = this.#sql
      .exec<{ ready: number; since: number | null; next: number | null }>(
        `SELECT count(*) FILTER (WHERE ready <= ?1) AS ready, min(ready) FILTER (WHERE ready <= ?1) AS since,
         min(ready) FILTER (WHERE ready > ?1) AS next FROM message WHERE deaths < ?2`,
        Date.now(),
        HELD_AT,
      )
      .one();
    return { ready, readySince: since ?? undefined, nextReady: next ?? undefined };
  }

  async #schedule(): Promise<void> {
    const consumer = this.consumer();
    const next = consumer && nextDelivery(this.#waiting(), consumer, Date.now());
    // A message that is held may be delivered to other code.
    const again = consumer && this.#isHolding() ? Date.now() + LIMITS.events.heldMs : undefined;
    const at = Math.min(next ?? Infinity, again ?? Infinity);
    if (at < Infinity) await this.ctx.storage.setAlarm(at);
  }

  #isHolding(): boolean {
    return this.#sql.exec("SELECT 1 FROM message WHERE deaths >= ? LIMIT 1", HELD_AT).toArray().length > 0;
  }

  #name(): string {
    return this.ctx.storage.kv.get<string>("queue") ?? "";
  }
}

const bodyKey = (seq: number): string => `body/${seq}`;

/** @param name of the queue */
export function brokerOf({ QUEUES }: Pick<Env, "QUEUES">, name: string): Rpc<QueueBroker> {
  return stubOf(QUEUES, name);
}
