/** What a version's client and its database send each other. */

/** A value of SQLite's. */
export type D1Value = string | number | null | ArrayBuffer;

export interface D1Query {
  readonly sql: string;
  readonly params: readonly D1Value[];
}

/** The result of a query. Times in ms, sizes in bytes. */
export interface D1Outcome {
  readonly columns: string[];
  readonly rows: D1Value[][];
  readonly meta: D1Meta;
}

export interface D1Meta {
  readonly served_by: string;
  readonly served_by_primary: boolean;
  readonly total_attempts: number;
  readonly timings: { readonly sql_duration_ms: number };
  readonly duration: number;
  readonly changes: number;
  readonly last_row_id: number;
  readonly changed_db: boolean;
  readonly size_after: number;
  readonly rows_read: number;
  readonly rows_written: number;
}
