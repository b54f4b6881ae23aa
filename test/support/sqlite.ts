/** SQLite as a Durable Object has it, as far as it is used: by Node's own. */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { Sql } from "../../src/lib/sqlite.ts";

export function openSqlite(): Sql {
  const db = new DatabaseSync(":memory:");
  const exec = (query: string, ...bindings: unknown[]) => {
    if (bindings.length === 0 && query.trim().split(";").length > 2) {
      db.exec(query);
      return { toArray: () => [] };
    }
    const values = bindings.map((value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value));
    const statement = db.prepare(query);
    const rows = statement
      .all(...(values as SQLInputValue[]))
      .map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([name, value]) => [
            name,
            value instanceof Uint8Array ? value.slice().buffer : value,
          ]),
        ),
      );
    return { toArray: () => rows };
  };
  return { exec };
}
