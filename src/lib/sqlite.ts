/** What Sluice uses of SQLite: less than a Durable Object gives, so that unit tests can run it on Node.js. */
export interface Sql {
  exec(query: string, ...bindings: unknown[]): { toArray(): Record<string, unknown>[] };
}
