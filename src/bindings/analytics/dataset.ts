/** A dataset of Analytics Engine: one table with the newest points. */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { LIMITS } from "../../lib/limits.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { type Rpc, stubOf } from "../../lib/rpc.ts";
import type { DataPoint } from "./types.ts";

const BLOBS = Array.from({ length: 20 }, (_, i) => `blob${i + 1}`);
const DOUBLES = Array.from({ length: 20 }, (_, i) => `double${i + 1}`);
/** Cloudflare's columns (https://developers.cloudflare.com/analytics/analytics-engine/sql-reference/). */
const COLUMNS = ["timestamp", "dataset", "_sample_interval", "index1", ...BLOBS, ...DOUBLES];

const SCHEMA = `CREATE TABLE IF NOT EXISTS point (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  timestamp TEXT NOT NULL,
  dataset TEXT NOT NULL,
  _sample_interval INTEGER NOT NULL DEFAULT 1,
  index1 TEXT NOT NULL DEFAULT '',
  ${BLOBS.map((name) => `${name} TEXT NOT NULL DEFAULT ''`).join(",\n  ")},
  ${DOUBLES.map((name) => `${name} REAL NOT NULL DEFAULT 0`).join(",\n  ")}
)`;

/** The answer to a query, in the form of Cloudflare's SQL API. */
interface Selection {
  readonly meta: { readonly name: string; readonly type: string }[];
  readonly data: Record<string, SqlStorageValue>[];
  readonly rows: number;
}

export class Dataset extends DurableObject<Env> {
  readonly #sql: SqlStorage;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(SCHEMA);
  }

  write(dataset: string, { indexes, blobs, doubles }: DataPoint): void {
    const given: [string, string | number][] = [
      ["timestamp", new Date().toISOString().slice(0, 19).replace("T", " ")],
      ["dataset", dataset],
      ...indexes.slice(0, 1).map((value): [string, string] => ["index1", value]),
      ...blobs.map((value, i): [string, string] => [BLOBS[i] as string, value]),
      ...doubles.map((value, i): [string, number] => [DOUBLES[i] as string, value]),
    ];
    const names = given.map(([name]) => name).join(", ");
    const places = given.map(() => "?").join(", ");
    this.#sql.exec(`INSERT INTO point (${names}) VALUES (${places})`, ...given.map(([, value]) => value));
    const { last } = this.#sql.exec<{ last: number }>("SELECT last_insert_rowid() AS last").one();
    this.#sql.exec("DELETE FROM point WHERE seq <= ?", last - LIMITS.bindings.maxDataPoints);
  }

  /** Runs a SELECT that names the dataset as its table. The error is SQLite's own message. */
  select(dataset: string, query: string): Result<Selection, string> {
    const view = `"${dataset.replaceAll('"', '""')}"`;
    try {
      return ok(
        this.ctx.storage.transactionSync(() => {
          this.#sql.exec(`CREATE VIEW ${view} AS SELECT ${COLUMNS.join(", ")} FROM point`);
          const cursor = this.#sql.exec(query);
          const names = cursor.columnNames;
          const data = cursor.toArray();
          this.#sql.exec(`DROP VIEW ${view}`);
          const typeOf = (name: string) => (typeof data[0]?.[name] === "number" ? "Float64" : "String");
          return { meta: names.map((name) => ({ name, type: typeOf(name) })), data, rows: data.length };
        }),
      );
    } catch (error) {
      return err((error as Error).message);
    }
  }
}

/** @param name of the dataset */
export function datasetOf({ DATASETS }: Pick<Env, "DATASETS">, name: string): Rpc<Dataset> {
  return stubOf(DATASETS, name);
}
