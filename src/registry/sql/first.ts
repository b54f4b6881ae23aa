/** The first row of a query; undefined where there is none. */
export function first<Row extends Record<string, SqlStorageValue>>(
  sql: SqlStorage,
  query: string,
  ...bindings: unknown[]
): Row | undefined {
  return sql.exec<Row>(query, ...bindings).toArray()[0];
}
