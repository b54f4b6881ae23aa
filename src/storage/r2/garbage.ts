/**
 * Files that no object names: those that a put is about to write, and those of objects that are gone.
 *
 * A file is noted here before it is written. The transaction that makes its object takes it out, and the one that
 * replaces or deletes the object puts it back. So every file is named by a content or listed here. A row that is due is
 * first marked, then its file is deleted, then the row: a marked file can no longer be claimed.
 */
import type { Sql } from "../../lib/sqlite.ts";
import { KEPT } from "./limits.ts";

export const GARBAGE_SCHEMA = `
CREATE TABLE IF NOT EXISTS garbage (
  file TEXT PRIMARY KEY,
  content TEXT NOT NULL,                 -- whose chunk it is, was, or is to be
  due INTEGER NOT NULL,                  -- when it may be deleted, in ms since the epoch
  process TEXT,                          -- of the put that writes it; null if the file is to be deleted
  marked INTEGER NOT NULL DEFAULT 0      -- 1: the file is being deleted
);
CREATE INDEX IF NOT EXISTS garbage_by_due ON garbage (due);
CREATE INDEX IF NOT EXISTS garbage_by_content ON garbage (content);
`;

export class Garbage {
  readonly #sql: Sql;

  /** Creates the table where it is missing. */
  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(GARBAGE_SCHEMA);
  }

  /** Puts of other processes have ended with them. @param process the one that runs now */
  takeOver(process: string, now: number): void {
    this.#sql.exec(
      "UPDATE garbage SET process = NULL, due = ? WHERE process <> ?",
      now + KEPT.graceMs,
      process,
    );
  }

  /** Notes a file that is about to be written. */
  reserve(file: string, content: string, { process, now }: { process: string; now: number }): void {
    this.#sql.exec(
      "INSERT INTO garbage (file, content, due, process) VALUES (?, ?, ?, ?)",
      file,
      content,
      now + KEPT.reservedMs,
      process,
    );
  }

  /** Whether all these files are still reserved. */
  areReserved(content: string, files: readonly string[]): boolean {
    const found = this.#sql
      .exec("SELECT file FROM garbage WHERE content = ? AND marked = 0", content)
      .toArray();
    const reserved = new Set(found.map(({ file }) => file));
    return files.every((file) => reserved.has(file));
  }

  /** Takes out files that a content now names; they must be reserved. */
  claim(files: readonly string[]): void {
    for (const file of files) this.forget(file);
  }

  /** A put has failed: its files are due. If it had succeeded after all, they are not here. */
  abandon(content: string, now: number): void {
    this.#sql.exec("UPDATE garbage SET due = ?, process = NULL WHERE content = ?", now, content);
  }

  /** A file is no longer named, but a read that has begun may still open it. */
  retire(file: string, content: string, now: number): void {
    this.#sql.exec(
      "INSERT INTO garbage (file, content, due) VALUES (?, ?, ?)",
      file,
      content,
      now + KEPT.graceMs,
    );
  }

  /** Marks files that are due, and returns them. Those of contents that are being read get more time. */
  mark(now: number, isRead: (content: string) => boolean): string[] {
    const due = this.#sql
      .exec(
        "SELECT file, content FROM garbage WHERE due <= ? ORDER BY due LIMIT ?",
        now,
        KEPT.deletesPerAlarm,
      )
      .toArray() as unknown as { file: string; content: string }[];
    const marked: string[] = [];
    for (const { file, content } of due) {
      if (isRead(content)) {
        this.#sql.exec("UPDATE garbage SET due = ? WHERE file = ?", now + KEPT.graceMs, file);
      } else {
        this.#sql.exec("UPDATE garbage SET marked = 1 WHERE file = ?", file);
        marked.push(file);
      }
    }
    return marked;
  }

  /** The file is gone, or an object's. */
  forget(file: string): void {
    this.#sql.exec("DELETE FROM garbage WHERE file = ?", file);
  }

  /** The file could not be deleted: it is tried again after a while. */
  postpone(file: string, now: number): void {
    this.#sql.exec("UPDATE garbage SET due = ? WHERE file = ?", now + KEPT.graceMs, file);
  }

  /** When the next file is due, in ms since the epoch. */
  due(): number | undefined {
    const [row] = this.#sql.exec("SELECT min(due) AS due FROM garbage").toArray();
    return (row?.due as number | null) ?? undefined;
  }
}
