/** The audit trail. It outlives the Worker. */
import type { Source } from "../../versions/types.ts";
import type { AuditAction, AuditEntry } from "../types.ts";
import { first } from "./first.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,                 -- ms since the epoch
  author TEXT NOT NULL,                  -- JSON object
  source TEXT NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL                   -- JSON object
);
`;

interface AuditRow extends Record<string, SqlStorageValue> {
  seq: number;
  time: number;
  author: string;
  source: Source;
  action: AuditAction;
  detail: string;
}

export class AuditTable {
  readonly #sql: SqlStorage;

  /** Creates the tables where they are missing. */
  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** @param time in ms since the epoch */
  add(time: number, { author, source, action, detail }: Omit<AuditEntry, "seq" | "time">): void {
    this.#sql.exec(
      "INSERT INTO audit (time, author, source, action, detail) VALUES (?, ?, ?, ?, ?)",
      time,
      JSON.stringify(author),
      source,
      action,
      JSON.stringify(detail),
    );
  }

  /** Newest first. */
  page(limit: number, offset: number): AuditEntry[] {
    return this.#sql
      .exec<AuditRow>("SELECT * FROM audit ORDER BY seq DESC LIMIT ? OFFSET ?", limit, offset)
      .toArray()
      .map((found) => ({
        ...found,
        time: new Date(found.time).toISOString(),
        author: JSON.parse(found.author),
        detail: JSON.parse(found.detail),
      }));
  }

  /** Whether an entry tells of this incident. */
  hasIncident(id: string): boolean {
    const query =
      "SELECT 1 FROM audit WHERE action = 'incident' AND json_extract(detail, '$.incident_id') = ?";
    return first(this.#sql, query, id) !== undefined;
  }

  count(): number {
    return first<{ n: number }>(this.#sql, "SELECT count(*) AS n FROM audit")?.n ?? 0;
  }
}
