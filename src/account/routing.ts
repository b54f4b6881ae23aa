/** The routes and custom domains of all Workers, and all SQL on them. */

import type { SluiceError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Sql } from "../lib/sqlite.ts";
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
  published INTEGER NOT NULL            -- the last revision that KV and every process have
);
INSERT OR IGNORE INTO routing VALUES (1, 0, 0);
`;

interface Revisions {
  readonly revision: number;
  readonly published: number;
}

/** Whether two patterns match the same URLs: the scheme and the case of the hostname do not matter. */
function isSame(x: string, y: string): boolean {
  const [a, b] = [parsePattern(x), parsePattern(y)];
  return a.ok && b.ok ? JSON.stringify(a.value) === JSON.stringify(b.value) : x === y;
}

export class Routing {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  routes(): Route[] {
    return this.#sql.exec("SELECT * FROM route ORDER BY pattern").toArray() as unknown as Route[];
  }

  domains(): Domain[] {
    return this.#sql.exec("SELECT * FROM domain ORDER BY hostname").toArray() as unknown as Domain[];
  }

  /** Replaces the routes of a Worker. Refused, and nothing changes, where another Worker has one of them. */
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

  /** What `setDomains` would change. Changes nothing. */
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

  /** Replaces the custom domains of a Worker. @param takeOver whether it may take domains from other Workers */
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

  /** Deletes the routes and domains of a Worker that was deleted. */
  forget(worker: string): void {
    this.#sql.exec("DELETE FROM route WHERE worker = ?", worker);
    this.#sql.exec("DELETE FROM domain WHERE worker = ?", worker);
    this.#bump();
  }

  /** What routers read. */
  record(): RoutesRecord {
    return {
      schema: 1,
      revision: this.#revisions().revision,
      domains: Object.fromEntries(this.domains().map(({ hostname, worker }) => [hostname, worker])),
      routes: this.routes().map(({ pattern, worker }) => ({ pattern, worker })),
    };
  }

  /** Whether KV and every process have the newest revision. */
  get isPublished(): boolean {
    const { revision, published } = this.#revisions();
    return published >= revision;
  }

  /** Records that KV and every process have this revision. An older one changes nothing. */
  setPublished(revision: number): void {
    this.#sql.exec("UPDATE routing SET published = max(published, ?)", revision);
  }

  #revisions(): Revisions {
    return this.#sql.exec("SELECT revision, published FROM routing").toArray()[0] as unknown as Revisions;
  }

  #bump(): void {
    this.#sql.exec("UPDATE routing SET revision = revision + 1");
  }
}
