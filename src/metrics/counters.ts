/** The tables of counts, and every statement over them. */
import { LIMITS } from "../lib/limits.ts";
import type { Sql } from "../lib/sqlite.ts";
import type { Reason } from "../router/split.ts";
import { addTimes, noTimes } from "./histogram.ts";
import {
  type AllCounts,
  type CountBatch,
  type CountRow,
  OTHER_VERSIONS,
  type ReasonCount,
  type SeriesPoint,
  type VersionDuration,
  type WorkerCounts,
} from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS request_count (
  worker TEXT NOT NULL,
  version_id TEXT NOT NULL,              -- or 'other'
  reason TEXT NOT NULL,
  ok INTEGER NOT NULL,
  error INTEGER NOT NULL,
  exception INTEGER NOT NULL,
  PRIMARY KEY (worker, version_id, reason)
);
CREATE TABLE IF NOT EXISTS duration (
  worker TEXT NOT NULL,
  version_id TEXT NOT NULL,
  buckets TEXT NOT NULL,                 -- JSON array: requests by bucket of BOUNDS_MS
  ms REAL NOT NULL,                      -- sum
  used INTEGER NOT NULL,                 -- ms since the epoch
  PRIMARY KEY (worker, version_id)
);
CREATE TABLE IF NOT EXISTS series (
  worker TEXT NOT NULL,
  time INTEGER NOT NULL,                 -- begin of the interval, seconds since the epoch
  version_id TEXT NOT NULL,
  ok INTEGER NOT NULL,
  error INTEGER NOT NULL,
  exception INTEGER NOT NULL,
  split INTEGER NOT NULL,                -- of these, those that the split decided
  buckets TEXT NOT NULL,
  PRIMARY KEY (worker, time, version_id)
);
CREATE TABLE IF NOT EXISTS sender (
  id TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,                  -- of the last batch that was counted
  used INTEGER NOT NULL                  -- ms since the epoch
);
CREATE TABLE IF NOT EXISTS gone (
  version_id TEXT PRIMARY KEY,           -- of a Worker that was deleted: its last answers may begin after that
  since INTEGER NOT NULL                 -- ms since the epoch
);
CREATE TABLE IF NOT EXISTS stale (
  worker TEXT PRIMARY KEY,
  until INTEGER                          -- ms since the epoch; NULL until it is said that it is over
);
`;

/** Reasons for which the split, and nobody else, chose the version. */
const BY_SPLIT: ReadonlySet<Reason> = new Set(["key", "random", "single"]);

export class Counters {
  readonly #sql: Sql;
  #prunedAt = 0;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** Adds a batch, unless it was added before. To be called in a transaction. @param now in ms since the epoch */
  add({ sender, seq, rows, stale }: CountBatch, now: number): void {
    const [known] = this.#sql.exec("SELECT seq FROM sender WHERE id = ?", sender).toArray();
    if (known !== undefined && (known.seq as number) >= seq) return;
    this.#sql.exec("INSERT OR REPLACE INTO sender VALUES (?, ?, ?)", sender, seq, now);
    for (const row of rows) if (!this.#isGone(row.version_id)) this.#addRow(row, now);
    for (const worker of stale) {
      this.#sql.exec(
        "INSERT INTO stale VALUES (?, ?) ON CONFLICT (worker) DO UPDATE SET until = excluded.until WHERE until IS NOT NULL",
        worker,
        now + LIMITS.metrics.staleShownMs,
      );
    }
    if (now - this.#prunedAt > LIMITS.metrics.seriesIntervalMs) this.#prune(now);
  }

  /** Notes that traffic processes may serve an older deployment than the active one, or that none does any more. */
  setStale(worker: string, isStale: boolean): void {
    if (isStale) this.#sql.exec("INSERT OR REPLACE INTO stale VALUES (?, NULL)", worker);
    else this.#sql.exec("DELETE FROM stale WHERE worker = ?", worker);
  }

  all(now: number): AllCounts {
    return {
      reasons: this.#reasons("SELECT * FROM request_count ORDER BY worker, version_id, reason"),
      durations: this.#durations("SELECT * FROM duration ORDER BY worker, version_id"),
      stale: this.#sql
        .exec("SELECT worker FROM stale WHERE until IS NULL OR until > ?", now)
        .toArray()
        .map(({ worker }) => worker as string),
    };
  }

  of(worker: string, now: number): WorkerCounts {
    const stale = this.#sql.exec(
      "SELECT 1 FROM stale WHERE worker = ? AND (until IS NULL OR until > ?)",
      worker,
      now,
    );
    return {
      reasons: this.#reasons(
        "SELECT * FROM request_count WHERE worker = ? ORDER BY version_id, reason",
        worker,
      ),
      durations: this.#durations("SELECT * FROM duration WHERE worker = ? ORDER BY version_id", worker),
      stale: stale.toArray().length > 0,
    };
  }

  /** The oldest first. @param since in seconds since the epoch */
  series(worker: string, since: number): SeriesPoint[] {
    return this.#sql
      .exec("SELECT * FROM series WHERE worker = ? AND time >= ? ORDER BY time, version_id", worker, since)
      .toArray()
      .map((row) => ({ ...(row as unknown as SeriesPoint), buckets: JSON.parse(row.buckets as string) }));
  }

  /** @param versions that may still answer, though nobody is to hear of it */
  forget(worker: string, versions: readonly string[], now: number): void {
    for (const id of versions) this.#sql.exec("INSERT OR REPLACE INTO gone VALUES (?, ?)", id, now);
    for (const table of ["request_count", "duration", "series", "stale"]) {
      this.#sql.exec(`DELETE FROM ${table} WHERE worker = ?`, worker);
    }
  }

  #isGone(version: string): boolean {
    return this.#sql.exec("SELECT 1 FROM gone WHERE version_id = ?", version).toArray().length > 0;
  }

  #addRow(row: CountRow, now: number): void {
    const { worker, version_id, reason, ok, error, exception, ms } = row;
    this.#addCount({ worker, version_id, reason, ok, error, exception });
    const [before] = this.#durations(
      "SELECT * FROM duration WHERE worker = ? AND version_id = ?",
      worker,
      version_id,
    );
    this.#setDuration(
      {
        worker,
        version_id,
        buckets: addTimes(before?.buckets ?? [], row.buckets),
        ms: (before?.ms ?? 0) + ms,
      },
      now,
    );
    this.#addPoint(row, now);
    if (before === undefined) this.#fold(worker);
  }

  #addCount({ worker, version_id, reason, ok, error, exception }: ReasonCount): void {
    this.#sql.exec(
      `INSERT INTO request_count VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
         ok = ok + excluded.ok, error = error + excluded.error, exception = exception + excluded.exception`,
      worker,
      version_id,
      reason,
      ok,
      error,
      exception,
    );
  }

  #setDuration({ worker, version_id, buckets, ms }: VersionDuration, now: number): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO duration VALUES (?, ?, ?, ?, ?)",
      worker,
      version_id,
      JSON.stringify(buckets),
      ms,
      now,
    );
  }

  #addPoint({ worker, version_id, reason, ok, error, exception, buckets }: CountRow, now: number): void {
    const time =
      Math.floor(now / LIMITS.metrics.seriesIntervalMs) * (LIMITS.metrics.seriesIntervalMs / 1_000);
    const [before] = this.#sql
      .exec("SELECT * FROM series WHERE worker = ? AND time = ? AND version_id = ?", worker, time, version_id)
      .toArray();
    const sum = (name: string, more: number) => ((before?.[name] as number | undefined) ?? 0) + more;
    const times = before === undefined ? noTimes() : JSON.parse(before.buckets as string);
    this.#sql.exec(
      "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      worker,
      time,
      version_id,
      sum("ok", ok),
      sum("error", error),
      sum("exception", exception),
      sum("split", BY_SPLIT.has(reason) ? ok + error + exception : 0),
      JSON.stringify(addTimes(times, buckets)),
    );
  }

  /** Keeps a row for the versions used last; the counts of the others go on as one, so that no sum ever falls. */
  #fold(worker: string): void {
    const surplus = this.#durations(
      "SELECT * FROM duration WHERE worker = ? AND version_id <> ? ORDER BY used DESC, version_id LIMIT -1 OFFSET ?",
      worker,
      OTHER_VERSIONS,
      LIMITS.metrics.meteredVersions,
    );
    for (const { version_id, buckets, ms } of surplus) {
      const [others] = this.#durations(
        "SELECT * FROM duration WHERE worker = ? AND version_id = ?",
        worker,
        OTHER_VERSIONS,
      );
      const sum = { buckets: addTimes(others?.buckets ?? [], buckets), ms: (others?.ms ?? 0) + ms };
      this.#setDuration({ worker, version_id: OTHER_VERSIONS, ...sum }, 0);
      const reasons = this.#reasons(
        "SELECT * FROM request_count WHERE worker = ? AND version_id = ?",
        worker,
        version_id,
      );
      for (const count of reasons) this.#addCount({ ...count, version_id: OTHER_VERSIONS });
      for (const table of ["request_count", "duration"]) {
        this.#sql.exec(`DELETE FROM ${table} WHERE worker = ? AND version_id = ?`, worker, version_id);
      }
    }
  }

  #prune(now: number): void {
    this.#prunedAt = now;
    this.#sql.exec("DELETE FROM series WHERE time < ?", (now - LIMITS.metrics.seriesMs) / 1_000);
    this.#sql.exec("DELETE FROM sender WHERE used < ?", now - LIMITS.metrics.senderMs);
    this.#sql.exec("DELETE FROM stale WHERE until < ?", now);
    this.#sql.exec("DELETE FROM gone WHERE since < ?", now - LIMITS.metrics.senderMs);
  }

  #reasons(query: string, ...bindings: unknown[]): ReasonCount[] {
    return this.#sql.exec(query, ...bindings).toArray() as unknown as ReasonCount[];
  }

  #durations(query: string, ...bindings: unknown[]): VersionDuration[] {
    return this.#sql
      .exec(query, ...bindings)
      .toArray()
      .map((row) => ({
        worker: row.worker as string,
        version_id: row.version_id as string,
        buckets: JSON.parse(row.buckets as string),
        ms: row.ms as number,
      }));
  }
}
