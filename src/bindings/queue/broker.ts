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
import { putOff } from "../../lib/safe-mode.ts";
import { sendEvent } from "../../runtime/events.ts";
import { QUEUE_ENTRYPOINT } from "../../versions/names.ts";
import { type Consumer, fateOf, nextDelivery, type Waiting } from "./delivery.ts";
import type { BatchOutcome, DeliveredBatch, QueuedMessage, QueueMetrics } from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS message (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  sent INTEGER NOT NULL,      -- ms since the epoch
  ready INTEGER NOT NULL,     -- when it may be delivered, ms since the epoch
  attempts INTEGER NOT NULL DEFAULT 0,
  type TEXT NOT NULL,
  size INTEGER NOT NULL       -- bytes, as its sender counted them; the body is at body/<seq>
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
}

export class QueueBroker extends DurableObject<Env> {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(SCHEMA);
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
    this.#sql.exec(SCHEMA);
  }

  override async alarm(): Promise<void> {
    const consumer = this.consumer();
    if (consumer === undefined) return;
    if (await putOff(this.env, this.ctx.storage)) return;
    try {
      while ((nextDelivery(this.#waiting(), consumer, Date.now()) ?? Infinity) <= Date.now()) {
        await this.#deliver(consumer);
      }
      await this.#schedule();
    } catch (error) {
      // Not a failure of the handler, which comes back as an outcome. The batch is tried again after a pause.
      log("error", "queue-undelivered", { queue: this.#name(), worker: consumer.worker, why: String(error) });
      await this.ctx.storage.setAlarm(Date.now() + LIMITS.bindings.queueRetryMs);
    }
  }

  async #deliver(consumer: Consumer): Promise<void> {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM message WHERE ready <= ? ORDER BY seq LIMIT ?",
        Date.now(),
        consumer.batch_size,
      )
      .toArray();
    const id = crypto.randomUUID();
    const counted = rows.map((row) => ({ ...row, attempts: row.attempts + 1 }));
    this.#setAttempts(counted);
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
    const { version_id, outcome, error } = await sendEvent<BatchOutcome>(this.env, consumer.worker, {
      key: id,
      entrypoint: QUEUE_ENTRYPOINT,
      info,
      event: batch,
    });
    if (version_id === undefined) this.#setAttempts(rows);
    if (outcome === undefined) throw new Error(error ?? `"${consumer.worker}" has no queue handler`);
    await this.#settle(counted, outcome, consumer);
  }

  #setAttempts(rows: readonly Row[]): void {
    this.ctx.storage.transactionSync(() => {
      for (const { seq, attempts } of rows) {
        this.#sql.exec("UPDATE message SET attempts = ? WHERE seq = ?", attempts, seq);
      }
    });
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
         min(ready) FILTER (WHERE ready > ?1) AS next FROM message`,
        Date.now(),
      )
      .one();
    return { ready, readySince: since ?? undefined, nextReady: next ?? undefined };
  }

  async #schedule(): Promise<void> {
    const consumer = this.consumer();
    const at = consumer && nextDelivery(this.#waiting(), consumer, Date.now());
    if (at !== undefined) await this.ctx.storage.setAlarm(at);
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
