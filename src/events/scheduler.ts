/**
 * Cron triggers of one Worker: an alarm for the next run, and a record of past runs. A run starts at most once: it is
 * recorded before its version is called, and a run that a crash ended is not repeated.
 */
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import { alarmTime, nowOf } from "../lib/clock.ts";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { type Rpc, stubOf } from "../lib/rpc.ts";
import { addColumns } from "../lib/sqlite.ts";
import { putOff } from "../lib/safe-mode.ts";
import { sendEvent } from "../runtime/events.ts";
import { codeNow, lifetimeOf, reportHeld } from "../runtime/held.ts";
import { type Deaths, died, HELD_AT, isHeld } from "../versions/held.ts";
import type { ScheduledRun } from "../versions/names.ts";
import { SCHEDULED_ENTRYPOINT } from "../versions/names.ts";
import { type CronTrigger, type DueRun, dueRuns, nextRun } from "./crons.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS cron (
  cron TEXT PRIMARY KEY,
  created_on TEXT NOT NULL,
  modified_on TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS run (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  cron TEXT NOT NULL,
  time INTEGER NOT NULL,        -- that the run is for, ms since the epoch
  started INTEGER NOT NULL,     -- ms since the epoch
  ended INTEGER,
  version_id TEXT,              -- NULL until a version was loaded
  outcome TEXT NOT NULL,        -- running, ok, exception, unknown (the process ended), held (not started)
  error TEXT,
  code TEXT,                    -- that ran it; NULL where an end of the process says nothing about it
  lifetime TEXT                 -- of the process that started it
);
`;

/** Columns that the runs of an earlier release do not have. */
const LATER_COLUMNS = ["code TEXT", "lifetime TEXT"];

/** The platform's own message. */
const NO_HANDLER = "Handler does not export a scheduled() function.";

/** A run and its outcome. Times in ms since the epoch. */
interface CronRun extends ScheduledRun {
  readonly started: number;
  readonly ended: number | null;
  readonly version_id: string | null;
  readonly outcome: "running" | "ok" | "exception" | "unknown" | "held";
  readonly error: string | null;
}

/** How a run begins. */
interface RunStart {
  readonly now: number;
  /** Undefined where it is not known. */
  readonly code: string | undefined;
  /** Whether it is run, or held. */
  readonly isRun: boolean;
}

/** How a run ended. */
interface RunEnd {
  /** Undefined if no version could be loaded. */
  readonly version_id: string | undefined;
  readonly error: string | null;
  /** Whether the process that ran it ended. */
  readonly isLost: boolean;
}

type RunRow = CronRun & Record<string, SqlStorageValue>;

export class Scheduler extends DurableObject<Env> {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#createTables();
    this.#noteInterrupted();
    // The stored alarm is in system time. This server may have another clock offset than the previous one.
    void ctx.blockConcurrencyWhile(() => this.#schedule());
  }

  #createTables(): void {
    this.#sql.exec(SCHEMA);
    addColumns(this.#sql, "run", LATER_COLUMNS);
  }

  /** This process ended while these ran. That says something about them only if it ran them, and was not told to end. */
  #noteInterrupted(): void {
    const hasRunThem = this.env.SLUICE_LANE === undefined;
    this.#sql.exec(
      `UPDATE run SET outcome = 'unknown', code = CASE WHEN ? AND lifetime <> ? THEN code END
       WHERE outcome = 'running'`,
      hasRunThem ? 1 : 0,
      lifetimeOf(this.env),
    );
  }

  triggers(): CronTrigger[] {
    return this.#sql
      .exec<CronTrigger & Record<string, SqlStorageValue>>("SELECT * FROM cron ORDER BY cron")
      .toArray();
  }

  /** Replaces all triggers. The caller has checked the expressions. */
  async setTriggers(worker: string, crons: readonly string[]): Promise<CronTrigger[]> {
    const now = nowOf(this.env);
    const before = new Map(this.triggers().map((trigger) => [trigger.cron, trigger]));
    const modified_on = new Date(now).toISOString();
    this.ctx.storage.transactionSync(() => {
      this.ctx.storage.kv.put("worker", worker);
      this.#sql.exec("DELETE FROM cron");
      for (const cron of new Set(crons)) {
        const { created_on = modified_on } = before.get(cron) ?? {};
        this.#sql.exec("INSERT INTO cron VALUES (?, ?, ?)", cron, created_on, modified_on);
      }
    });
    await this.#schedule();
    await this.ctx.storage.sync();
    return this.triggers();
  }

  /** The newest run first. */
  runs(): CronRun[] {
    return this.#sql
      .exec<RunRow>(
        "SELECT cron, time, started, ended, version_id, outcome, error FROM run ORDER BY seq DESC LIMIT ?",
        LIMITS.lists.listedCronRuns,
      )
      .toArray();
  }

  /** Deletes everything, because the Worker was deleted. */
  async clear(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    this.#sql.exec("DELETE FROM cron");
    this.#sql.exec("DELETE FROM run");
  }

  override async alarm(): Promise<void> {
    if (await putOff(this.env, this.ctx.storage)) return;
    const now = nowOf(this.env);
    const { kv } = this.ctx.storage;
    const worker = kv.get<string>("worker") ?? "";
    const code = await codeNow(this.env, worker).catch(() => undefined);
    const due = this.triggers().flatMap((trigger) => dueRuns([trigger.cron], this.#since(trigger), now));
    const started = this.ctx.storage.transactionSync(() => {
      kv.put("checked", now);
      return due.map((run) => {
        const isRun = !isHeld(this.#deaths(run.cron), code ?? "");
        return { run, isRun, seq: this.#note(run, { now, code, isRun }) };
      });
    });
    await this.#schedule();
    // On disk before anything runs, so that it cannot run twice.
    await this.ctx.storage.sync();
    for (const { run, isRun, seq } of started) {
      if (isRun) await this.ctx.exports.CronRunner.start(worker, seq, run);
      else await reportHeld(this.env, worker, { kind: "cron", what: run.cron, code: code ?? "" });
    }
  }

  /** The last runs of a cron at whose side the process ended. */
  #deaths(cron: string): Deaths | undefined {
    const runs = this.#sql
      .exec<{ outcome: string; code: string | null }>(
        "SELECT outcome, code FROM run WHERE cron = ? AND outcome NOT IN ('held', 'running') ORDER BY seq DESC LIMIT ?",
        cron,
        HELD_AT,
      )
      .toArray();
    return runs.reduceRight<Deaths | undefined>(
      (deaths, { outcome, code }) =>
        outcome === "unknown" && code !== null ? died(deaths, code) : undefined,
      undefined,
    );
  }

  /** Records the outcome of a run. */
  ended(seq: number, { version_id, error, isLost }: RunEnd): void {
    this.#sql.exec(
      "UPDATE run SET ended = ?, version_id = ?, outcome = ?, error = ? WHERE seq = ?",
      nowOf(this.env),
      version_id ?? null,
      isLost ? "unknown" : error === null ? "ok" : "exception",
      error,
      seq,
    );
  }

  #note({ cron, time }: DueRun, { now, code, isRun }: RunStart): number {
    this.#sql.exec(
      "INSERT INTO run (cron, time, started, outcome, code, lifetime) VALUES (?, ?, ?, ?, ?, ?)",
      cron,
      time,
      now,
      isRun ? "running" : "held",
      code ?? null,
      lifetimeOf(this.env),
    );
    const { seq } = this.#sql.exec<{ seq: number }>("SELECT last_insert_rowid() AS seq").one();
    this.#sql.exec("DELETE FROM run WHERE seq <= ?", seq - LIMITS.lists.listedCronRuns);
    return seq;
  }

  /** The time up to which a trigger's runs have started. It is never before the trigger's creation. */
  #since({ created_on }: CronTrigger): number {
    return Math.max(this.ctx.storage.kv.get<number>("checked") ?? 0, Date.parse(created_on));
  }

  async #schedule(): Promise<void> {
    const times = this.triggers().flatMap((trigger) => nextRun([trigger.cron], this.#since(trigger)) ?? []);
    if (times.length === 0) await this.ctx.storage.deleteAlarm();
    else await this.ctx.storage.setAlarm(alarmTime(this.env, Math.min(...times)));
  }
}

/** One run, in a request of its own: it may outlast the time at which the next run is due. */
export class CronRunner extends WorkerEntrypoint<Env> {
  /** Resolves as soon as the run has begun. */
  async start(worker: string, seq: number, run: ScheduledRun): Promise<void> {
    this.ctx.waitUntil(this.#run(worker, seq, run));
  }

  async #run(worker: string, seq: number, run: ScheduledRun): Promise<void> {
    let version: string | undefined;
    let error: string | null = null;
    let isLost = false;
    try {
      const delivery = await sendEvent(this.env, worker, {
        key: String(run.time),
        entrypoint: SCHEDULED_ENTRYPOINT,
        info: { cron: run.cron, scheduledTime: run.time },
        event: run,
      });
      version = delivery.version_id;
      error = delivery.error ?? null;
    } catch (thrown) {
      error = `The process that ran it ended: ${String(thrown)}`;
      isLost = true;
    }
    if (error?.includes("no such entrypoint")) error = NO_HANDLER;
    if (error !== null)
      log("error", "cron-failed", { worker, version: version ?? null, cron: run.cron, why: error });
    await schedulerOf(this.env, worker).ended(seq, { version_id: version, error, isLost });
  }
}

export function schedulerOf({ CRONS }: Pick<Env, "CRONS">, worker: string): Rpc<Scheduler> {
  return stubOf(CRONS, worker);
}
