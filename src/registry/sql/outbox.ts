/** What KV must still be told: values to write after the commit, and keys to delete. */
import { first } from "./first.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS kv_write (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL                    -- to be in KV, but not known to be
);
CREATE TABLE IF NOT EXISTS garbage (
  key TEXT PRIMARY KEY,                  -- KV key that nothing will refer to
  delete_after INTEGER NOT NULL          -- ms since the epoch
);
`;

export class Outbox {
  readonly #sql: SqlStorage;

  /** Creates the tables where they are missing. */
  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** Call it in the transaction of the change: KV gets the value after the commit. */
  writeLater(key: string, value: string): void {
    this.#sql.exec("INSERT OR REPLACE INTO kv_write VALUES (?, ?)", key, value);
  }

  writesLeft(): { readonly key: string; readonly value: string }[] {
    return this.#sql.exec<{ key: string; value: string }>("SELECT * FROM kv_write").toArray();
  }

  /** Deletes a write that KV has taken, unless the key has a newer value by now. */
  written(key: string, value: string): void {
    this.#sql.exec("DELETE FROM kv_write WHERE key = ? AND value = ?", key, value);
  }

  /** Has a key deleted from KV, unless `keep` is called before. @param deleteAfter in ms since the epoch */
  discard(key: string, deleteAfter: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO garbage VALUES (?, ?)", key, deleteAfter);
  }

  keep(key: string): void {
    this.#sql.exec("DELETE FROM garbage WHERE key = ?", key);
  }

  /** Keys to delete, at most 100. @param now in ms since the epoch */
  garbage(now: number): string[] {
    return this.#sql
      .exec<{ key: string }>("SELECT key FROM garbage WHERE delete_after <= ? LIMIT 100", now)
      .toArray()
      .map(({ key }) => key);
  }

  /** When the next key may be deleted, in ms since the epoch; undefined where there is none. */
  nextGarbageTime(): number | undefined {
    return (
      first<{ t: number | null }>(this.#sql, "SELECT min(delete_after) AS t FROM garbage")?.t ?? undefined
    );
  }

  /** Deletes the pending writes. The keys to delete stay. */
  clear(): void {
    this.#sql.exec("DELETE FROM kv_write");
  }
}
