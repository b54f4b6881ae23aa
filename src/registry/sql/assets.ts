/** The Worker's assets: the files that KV has, and the uploads in progress. */
import type { Manifest } from "../../assets/manifest.ts";
import { first } from "./first.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS asset_folder (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  folder TEXT NOT NULL                   -- begins the KV keys of the Worker's files; another one after it was deleted
);
CREATE TABLE IF NOT EXISTS asset (
  key TEXT PRIMARY KEY                   -- KV key of a file or a set that is in KV
);
CREATE TABLE IF NOT EXISTS asset_session (
  id TEXT PRIMARY KEY,
  expires INTEGER NOT NULL               -- seconds since the epoch
);
CREATE TABLE IF NOT EXISTS announced_file (
  session TEXT NOT NULL,
  path TEXT NOT NULL,
  hash TEXT NOT NULL,
  size INTEGER NOT NULL,                 -- bytes
  PRIMARY KEY (session, path)
);
`;

export class AssetTables {
  readonly #sql: SqlStorage;

  /** Creates the tables where they are missing. */
  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  folder(): string | undefined {
    return first<{ folder: string }>(this.#sql, "SELECT folder FROM asset_folder")?.folder;
  }

  setFolder(folder: string): void {
    this.#sql.exec("INSERT INTO asset_folder VALUES (1, ?)", folder);
  }

  /** Records that KV has a file or a set. */
  add(key: string): void {
    this.#sql.exec("INSERT OR IGNORE INTO asset VALUES (?)", key);
  }

  /** KV keys of all files and sets. */
  keys(): string[] {
    return this.#sql
      .exec<{ key: string }>("SELECT key FROM asset")
      .toArray()
      .map(({ key }) => key);
  }

  /** @param expires in seconds since the epoch */
  openSession(id: string, manifest: Manifest, expires: number): void {
    this.#sql.exec("INSERT INTO asset_session VALUES (?, ?)", id, expires);
    for (const [path, [hash, size]] of Object.entries(manifest)) {
      this.#sql.exec("INSERT INTO announced_file VALUES (?, ?, ?, ?)", id, path, hash, size);
    }
  }

  /** In seconds since the epoch; undefined where there is no such session. */
  sessionEnd(id: string): number | undefined {
    return first<{ expires: number }>(this.#sql, "SELECT expires FROM asset_session WHERE id = ?", id)
      ?.expires;
  }

  /** Hashes of the announced files that KV does not have. @param folder prefix of their keys */
  missingFiles(session: string, folder: string): string[] {
    return this.#sql
      .exec<{ hash: string }>(
        `SELECT hash FROM announced_file LEFT JOIN asset ON key = ? || hash
         WHERE session = ? AND key IS NULL GROUP BY hash ORDER BY min(announced_file.rowid)`,
        folder,
        session,
      )
      .toArray()
      .map(({ hash }) => hash);
  }

  /** Sizes in bytes, by hash. A hash that was not announced is left out. */
  announcedSizes(session: string, hashes: readonly string[]): Record<string, number> {
    const rows = this.#sql.exec<{ hash: string; size: number }>(
      "SELECT hash, size FROM announced_file WHERE session = ? AND hash IN (SELECT value FROM json_each(?))",
      session,
      JSON.stringify(hashes),
    );
    return Object.fromEntries(rows.toArray().map(({ hash, size }) => [hash, size]));
  }

  manifestOf(session: string): Manifest {
    const rows = this.#sql.exec<{ path: string; hash: string; size: number }>(
      "SELECT path, hash, size FROM announced_file WHERE session = ?",
      session,
    );
    return Object.fromEntries(rows.toArray().map(({ path, hash, size }) => [path, [hash, size] as const]));
  }

  /** Deletes the sessions that have expired. @param now in seconds since the epoch */
  closeSessions(now: number): void {
    this.#sql.exec("DELETE FROM asset_session WHERE expires < ?", now);
    this.#sql.exec("DELETE FROM announced_file WHERE session NOT IN (SELECT id FROM asset_session)");
  }

  clear(): void {
    this.#sql.exec("DELETE FROM asset_folder");
    this.#sql.exec("DELETE FROM asset");
    this.#sql.exec("DELETE FROM asset_session");
    this.#sql.exec("DELETE FROM announced_file");
  }
}
