/** A D1 database: one SQLite database, shared by all versions of all Workers that are bound to it. */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { type Rpc, stubOf } from "../../lib/rpc.ts";
import type { D1Outcome, D1Query, D1Value } from "./types.ts";

export class Database extends DurableObject<Env> {
  /** Runs all queries, or none if one fails. The error is SQLite's own message. */
  query(queries: readonly D1Query[]): Result<D1Outcome[], string> {
    try {
      return ok(this.ctx.storage.transactionSync(() => queries.map((query) => this.#run(query))));
    } catch (error) {
      return err((error as Error).message);
    }
  }

  /** Size of the database in bytes, and the number of its tables. */
  describe(): { readonly size: number; readonly tables: number } {
    const { sql } = this.ctx.storage;
    const { n } = sql
      .exec<{ n: number }>(
        "SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'",
      )
      .one();
    return { size: sql.databaseSize, tables: n };
  }

  async clear(): Promise<void> {
    await this.ctx.storage.deleteAll();
  }

  #run({ sql, params }: D1Query): D1Outcome {
    const before = this.#counts();
    const started = Date.now();
    const cursor = this.ctx.storage.sql.exec(sql, ...params);
    const columns = cursor.columnNames;
    const rows = [...cursor.raw<D1Value[]>()];
    const { rowsRead, rowsWritten } = cursor;
    const after = this.#counts();
    const changes = after.changes - before.changes;
    const duration = Date.now() - started;
    return {
      columns,
      rows,
      meta: {
        served_by: "sluice",
        served_by_primary: true,
        total_attempts: 1,
        timings: { sql_duration_ms: duration },
        duration,
        changes,
        last_row_id: after.last,
        changed_db: changes > 0 || rowsWritten > 0,
        size_after: this.ctx.storage.sql.databaseSize,
        rows_read: rowsRead,
        rows_written: rowsWritten,
      },
    };
  }

  #counts(): { readonly changes: number; readonly last: number } {
    return this.ctx.storage.sql
      .exec<{ changes: number; last: number }>(
        "SELECT total_changes() AS changes, last_insert_rowid() AS last",
      )
      .one();
  }
}

/** @param id of the database */
export function databaseOf({ DATABASES }: Pick<Env, "DATABASES">, id: string): Rpc<Database> {
  return stubOf(DATABASES, id);
}
