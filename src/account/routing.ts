/** Routes and custom domains of all Workers: the account's part of where a request goes. No other SQL over them. */

import type { SluiceError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { parsePattern } from "../router/routes.ts";
import type { RoutesRecord } from "../versions/record.ts";
import type { Domain, DomainChanges, DomainInput, Route } from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS route (
  pattern TEXT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  worker TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS domain (
  hostname TEXT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  worker TEXT NOT NULL,
  zone TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS routing (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  revision INTEGER NOT NULL,
  published INTEGER NOT NULL            -- revision that KV and every process are known to have
);
INSERT OR IGNORE INTO routing VALUES (1, 0, 0);
`;

type RouteRow = Route & Record<string, SqlStorageValue>;
type DomainRow = Domain & Record<string, SqlStorageValue>;

/** Whether two patterns match the same: neither scheme nor case matters. */
function isSame(x: string, y: string): boolean {
  const [a, b] = [parsePattern(x), parsePattern(y)];
  return a.ok && b.ok ? JSON.stringify(a.value) === JSON.stringify(b.value) : x === y;
}

export class Routing {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  routes(): Route[] {
    return this.#sql.exec<RouteRow>("SELECT * FROM route ORDER BY pattern").toArray();
  }

  domains(): Domain[] {
    return this.#sql.exec<DomainRow>("SELECT * FROM domain ORDER BY hostname").toArray();
  }

  /** Gives a Worker these routes instead of those that it had; refuses one that another Worker has. */
  setRoutes(worker: string, patterns: readonly string[]): Result<readonly Route[], SluiceError> {
    const before = this.routes();
    for (const pattern of patterns) {
      const taken = before.find((route) => route.worker !== worker && isSame(route.pattern, pattern));
      if (taken !== undefined) return err({ reason: "route-taken", pattern, worker: taken.worker });
    }
    this.#sql.exec("DELETE FROM route WHERE worker = ?", worker);
    for (const pattern of patterns) {
      const id = before.find((route) => route.pattern === pattern)?.id ?? newId();
      this.#sql.exec("INSERT INTO route VALUES (?, ?, ?)", pattern, id, worker);
    }
    this.#bump();
    return ok(this.routes().filter((route) => route.worker === worker));
  }

  /** What `setDomains` would change. */
  domainChanges(worker: string, inputs: readonly DomainInput[]): DomainChanges {
    const before = this.domains();
    const wanted = new Set(inputs.map(({ hostname }) => hostname));
    const added = inputs
      .filter(({ hostname }) => !before.some((domain) => domain.hostname === hostname))
      .map(({ hostname, zone }): Domain => ({ id: newId(), hostname, worker, zone }));
    return {
      added,
      removed: before.filter((domain) => domain.worker === worker && !wanted.has(domain.hostname)),
      updated: before
        .filter(({ hostname }) => wanted.has(hostname))
        .map((domain) => ({ ...domain, modified: domain.worker !== worker })),
    };
  }

  /** Gives a Worker these domains instead of those that it had. @param takeOver whether it may have another Worker's */
  setDomains(
    worker: string,
    inputs: readonly DomainInput[],
    takeOver: boolean,
  ): Result<readonly Domain[], SluiceError> {
    const { added, removed, updated } = this.domainChanges(worker, inputs);
    const taken = updated.find(({ modified }) => modified);
    if (taken !== undefined && !takeOver) {
      return err({ reason: "domain-taken", hostname: taken.hostname, worker: taken.worker });
    }
    for (const { hostname } of removed) this.#sql.exec("DELETE FROM domain WHERE hostname = ?", hostname);
    for (const { hostname } of updated) {
      this.#sql.exec("UPDATE domain SET worker = ? WHERE hostname = ?", worker, hostname);
    }
    for (const { id, hostname, zone } of added) {
      this.#sql.exec("INSERT INTO domain VALUES (?, ?, ?, ?)", hostname, id, worker, zone);
    }
    this.#bump();
    return ok(this.domains().filter((domain) => domain.worker === worker));
  }

  /** Takes everything from a Worker that was deleted. */
  forget(worker: string): void {
    this.#sql.exec("DELETE FROM route WHERE worker = ?", worker);
    this.#sql.exec("DELETE FROM domain WHERE worker = ?", worker);
    this.#bump();
  }

  record(): RoutesRecord {
    return {
      schema: 1,
      revision: this.#revisions().revision,
      domains: Object.fromEntries(this.domains().map(({ hostname, worker }) => [hostname, worker])),
      routes: this.routes().map(({ pattern, worker }) => ({ pattern, worker })),
    };
  }

  get isPublished(): boolean {
    const { revision, published } = this.#revisions();
    return published >= revision;
  }

  setPublished(revision: number): void {
    this.#sql.exec("UPDATE routing SET published = max(published, ?)", revision);
  }

  #revisions(): { readonly revision: number; readonly published: number } {
    return this.#sql.exec<{ revision: number; published: number }>("SELECT * FROM routing").one();
  }

  #bump(): void {
    this.#sql.exec("UPDATE routing SET revision = revision + 1");
  }
}
