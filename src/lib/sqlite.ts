/** What Sluice uses of SQLite: less than a Durable Object gives, so that unit tests can run it on Node.js. */
export interface Sql {
  exec(query: string, ...bindings: unknown[]): { toArray(): Record<string, unknown>[] };
}

/**
 * Adds the columns that a table of an earlier release does not have.
 *
 * @param columns their definitions, each beginning with the name
 */
export function addColumns(sql: Sql, table: string, columns: readonly string[]): void {
  const found = sql.exec("SELECT name FROM pragma_table_info(?)", table).toArray();
  const known = new Set(found.map(({ name }) => name));
  for (const column of columns) {
    if (!known.has(column.split(" ", 1)[0])) sql.exec(`ALTER TABLE ${table} ADD COLUMN ${column}`);
  }
}
