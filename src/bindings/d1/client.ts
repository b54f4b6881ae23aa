/** `D1Database` for a version's code: calls go to channel.ts. */
import type { Rpc } from "../../lib/rpc.ts";
import type { D1Binding } from "./channel.ts";
import type { D1Meta, D1Outcome, D1Query, D1Value } from "./types.ts";

type Row = Record<string, unknown>;

interface D1Result {
  readonly success: true;
  readonly meta: D1Meta;
  readonly results: Row[];
}

/** Runs queries, all or none. Rejects with a `D1_ERROR`. */
type Run = (queries: readonly D1Query[]) => Promise<D1Outcome[]>;

class D1PreparedStatement {
  readonly #run: Run;
  readonly query: D1Query;

  constructor(run: Run, query: D1Query) {
    this.#run = run;
    this.query = query;
  }

  bind(...values: unknown[]): D1PreparedStatement {
    return new D1PreparedStatement(this.#run, { sql: this.query.sql, params: values.map(toParam) });
  }

  async first(column?: string): Promise<unknown> {
    const { columns, rows } = await this.#one();
    const [row] = rows;
    if (row === undefined) return null;
    const found = toRow(columns, row);
    if (column === undefined) return found;
    if (!Object.hasOwn(found, column)) throw new Error(`D1_COLUMN_NOTFOUND: Column not found (${column})`);
    return found[column];
  }

  async all(): Promise<D1Result> {
    return toResult(await this.#one());
  }

  async run(): Promise<D1Result> {
    return this.all();
  }

  async raw(options?: { readonly columnNames?: boolean }): Promise<unknown[][]> {
    const { columns, rows } = await this.#one();
    const values = rows.map((row) => row.map(fromColumn));
    return options?.columnNames ? [columns, ...values] : values;
  }

  async #one(): Promise<D1Outcome> {
    const [outcome] = await this.#run([this.query]);
    return outcome as D1Outcome;
  }
}

/** What a database and a session of it have in common. */
class Queries {
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  prepare(sql: string): D1PreparedStatement {
    return new D1PreparedStatement(this.#run, { sql, params: [] });
  }

  async batch(statements: readonly D1PreparedStatement[]): Promise<D1Result[]> {
    if (statements.length === 0) throw new Error("D1_ERROR: No SQL statements detected.");
    return (await this.#run(statements.map(({ query }) => query))).map(toResult);
  }
}

class D1DatabaseSession extends Queries {
  #bookmark: string | null;

  /** @param constraint a bookmark of an earlier session, or how fresh the first read must be; here every read is fresh */
  constructor(run: Run, constraint: string | undefined) {
    super(async (queries) => {
      const outcomes = await run(queries);
      this.#bookmark = bookmarkNow();
      return outcomes;
    });
    this.#bookmark = constraint?.startsWith("first-") ? null : (constraint ?? null);
  }

  getBookmark(): string | null {
    return this.#bookmark;
  }
}

export class D1Database extends Queries {
  readonly #run: Run;

  constructor(remote: Rpc<D1Binding>) {
    const run: Run = async (queries) => {
      for (const { sql } of queries) checkSql(sql);
      const outcomes = await remote.query(queries);
      if (!outcomes.ok) throw new Error(`D1_ERROR: ${outcomes.error}`, { cause: new Error(outcomes.error) });
      return outcomes.value;
    };
    super(run);
    this.#run = run;
  }

  /** A statement per line, as on Cloudflare. */
  async exec(text: string): Promise<{ count: number; duration: number }> {
    const lines = text.trim().split("\n");
    const started = Date.now();
    try {
      await this.#run(lines.map((sql) => ({ sql, params: [] })));
    } catch (error) {
      const { message } = error as Error;
      throw new Error(`D1_EXEC_ERROR: Error in line 1: ${lines[0]}: ${message.replace("D1_ERROR: ", "")}`, {
        cause: error,
      });
    }
    return { count: lines.length, duration: Date.now() - started };
  }

  withSession(constraint?: string): D1DatabaseSession {
    return new D1DatabaseSession(this.#run, constraint);
  }

  async dump(): Promise<never> {
    throw new Error("D1_DUMP_ERROR: dump() is not available; read the tables instead.");
  }
}

function checkSql(sql: string): void {
  const statement = String(sql).replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, "");
  if (statement.trim() === "") throw new Error("D1_ERROR: No SQL statements detected.");
}

/** A value that SQLite takes. Refuses others with the platform's message. */
function toParam(value: unknown): D1Value {
  if (value === null || typeof value === "number" || typeof value === "string") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof ArrayBuffer) return value;
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength).slice().buffer;
  }
  if (Array.isArray(value) && value.every((each) => typeof each === "number")) {
    return new Uint8Array(value).buffer;
  }
  throw new Error(`D1_TYPE_ERROR: Type '${typeof value}' not supported for value '${value}'`);
}

/** A blob becomes an array of its bytes, as on Cloudflare. */
function fromColumn(value: D1Value): unknown {
  return value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value;
}

function toRow(columns: readonly string[], row: readonly D1Value[]): Row {
  return Object.fromEntries(row.map((value, i) => [columns[i] as string, fromColumn(value)]));
}

function toResult({ columns, rows, meta }: D1Outcome): D1Result {
  return { success: true, meta, results: rows.map((row) => toRow(columns, row)) };
}

/** There is one copy of the data, so a later bookmark includes every earlier one. */
function bookmarkNow(): string {
  return Date.now().toString(16).padStart(16, "0");
}
