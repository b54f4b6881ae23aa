/** The newest incidents of the server's processes. */
import { LIMITS } from "../lib/limits.ts";
import type { Sql } from "../lib/sqlite.ts";
import type { Incident } from "../versions/incident.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS incident (
  id TEXT PRIMARY KEY,
  at TEXT NOT NULL,                      -- ISO 8601 in UTC
  incident TEXT NOT NULL                 -- JSON object: Incident
);
`;

export class Incidents {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** Records an incident, and forgets the oldest ones. One that is recorded already is left as it is. */
  add(incident: Incident): void {
    const { id, at } = incident;
    this.#sql.exec("INSERT OR IGNORE INTO incident VALUES (?, ?, ?)", id, at, JSON.stringify(incident));
    this.#sql.exec(
      "DELETE FROM incident WHERE id NOT IN (SELECT id FROM incident ORDER BY at DESC, rowid DESC LIMIT ?)",
      LIMITS.lists.keptIncidents,
    );
  }

  /** Newest first. */
  list(): Incident[] {
    return this.#sql
      .exec("SELECT incident FROM incident ORDER BY at DESC, rowid DESC")
      .toArray()
      .map(({ incident }) => JSON.parse(incident as string));
  }
}
