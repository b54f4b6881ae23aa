/**
 * The account's Durable Object: API tokens, sessions, incidents, the resources that Workers can be bound to (which there are; the
 * bindings keep their contents), and the routes and custom domains of all Workers. It publishes those as a registry
 * publishes its deployment: the commit first, then KV and every process, again until all of them have it.
 */

import { DurableObject } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import type { ResourceKind, SluiceError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { type Rpc, stubOf } from "../lib/rpc.ts";
import { type Fleet, fleetOf } from "../runtime/fleet.ts";
import { type Publication, Publishing } from "../runtime/publishing.ts";
import type { Incident } from "../versions/incident.ts";
import { writeRoutes } from "../versions/replica.ts";
import { Access, type ApiToken, type Session } from "./access.ts";
import { Incidents } from "./incidents.ts";
import { Routing } from "./routing.ts";
import type { Domain, DomainChanges, DomainInput, Resource, Route } from "./types.ts";

/** Name of the one object. */
const ACCOUNT_OBJECT = "account";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS resource (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_on TEXT NOT NULL,
  PRIMARY KEY (kind, id),
  UNIQUE (kind, name)
);
`;

type Row = Resource & Record<string, SqlStorageValue>;

export class AccountRegistry extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  readonly #routing: Routing;
  readonly #access: Access;
  readonly #incidents: Incidents;
  readonly #fleet: Fleet;
  readonly #publishing: Publishing;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = ctx.storage.sql;
    this.#sql.exec(SCHEMA);
    this.#routing = new Routing(this.#sql);
    this.#access = new Access(this.#sql);
    this.#incidents = new Incidents(this.#sql);
    this.#fleet = fleetOf(env, ctx.exports.Follower);
    this.#publishing = new Publishing(
      ctx.storage,
      () => this.#nextPublication(),
      () => this.#schedule(),
    );
  }

  tokens(): ApiToken[] {
    return this.#access.tokens();
  }

  createToken(token: Pick<ApiToken, "name" | "role" | "created_by">, sha256: string): ApiToken | undefined {
    return this.#access.create(token, sha256, Date.now());
  }

  revokeToken(name: string): ApiToken | undefined {
    return this.#access.revoke(name);
  }

  useToken(sha256: string): ApiToken | undefined {
    return this.#access.use(sha256, Date.now());
  }

  openSession(sha256: string, session: Session): void {
    this.#access.openSession(sha256, session, Date.now());
  }

  session(sha256: string): ReturnType<Access["session"]> {
    return this.#access.session(sha256, Date.now());
  }

  closeSession(sha256: string): void {
    this.#access.closeSession(sha256);
  }

  closeSessions(tokenId: string): number {
    return this.#access.closeSessions(tokenId);
  }

  /** The newest incidents of the server's processes, newest first. */
  incidents(): Incident[] {
    return this.#incidents.list();
  }

  addIncident(incident: Incident): void {
    this.ctx.storage.transactionSync(() => this.#incidents.add(incident));
  }

  routes(): Route[] {
    return this.#routing.routes();
  }

  domains(): Domain[] {
    return this.#routing.domains();
  }

  domainChanges(worker: string, inputs: readonly DomainInput[]): DomainChanges {
    return this.#routing.domainChanges(worker, inputs);
  }

  setRoutes(worker: string, patterns: readonly string[]): Promise<Result<readonly Route[], SluiceError>> {
    return this.#commit(() => this.#routing.setRoutes(worker, patterns));
  }

  setDomains(
    worker: string,
    inputs: readonly DomainInput[],
    takeOver: boolean,
  ): Promise<Result<readonly Domain[], SluiceError>> {
    return this.#commit(() => this.#routing.setDomains(worker, inputs, takeOver));
  }

  /** Deletes the routes and domains of a Worker that was deleted. */
  forgetWorker(worker: string): Promise<void> {
    return this.#commit(() => this.#routing.forget(worker));
  }

  override async alarm(): Promise<void> {
    await this.#publishing.publish();
  }

  async #commit<T>(change: () => T): Promise<T> {
    const result = this.ctx.storage.transactionSync(change);
    const stored = this.ctx.storage.setAlarm(Date.now() + LIMITS.publishing.publishRetryMs);
    await Promise.all([stored, this.#publishing.publish()]);
    return result;
  }

  #nextPublication(): Publication | undefined {
    if (this.#routing.isPublished) return undefined;
    const record = this.#routing.record();
    return {
      subject: { routes: record.revision },
      write: () => writeRoutes(this.env.SLUICE_KV, record),
      tell: () => this.#fleet.publishRoutes(record),
      confirm: () => this.#routing.setPublished(record.revision),
    };
  }

  async #schedule(): Promise<void> {
    if (this.#routing.isPublished) await this.ctx.storage.deleteAlarm();
    else await this.ctx.storage.setAlarm(Date.now() + LIMITS.publishing.publishRetryMs);
  }

  /** All resources of a kind, by name. */
  list(kind: ResourceKind): Resource[] {
    return this.#rows("SELECT * FROM resource WHERE kind = ? ORDER BY name", kind);
  }

  get(kind: ResourceKind, id: string): Resource | undefined {
    return this.#rows("SELECT * FROM resource WHERE kind = ? AND id = ?", kind, id)[0];
  }

  named(kind: ResourceKind, name: string): Resource | undefined {
    return this.#rows("SELECT * FROM resource WHERE kind = ? AND name = ?", kind, name)[0];
  }

  /** Refused where the name is taken. */
  create(kind: ResourceKind, name: string, id: string): Result<Resource, SluiceError> {
    if (this.named(kind, name) !== undefined) return err({ reason: "resource-exists", kind, name });
    const created_on = new Date().toISOString();
    this.#sql.exec("INSERT INTO resource VALUES (?, ?, ?, ?)", kind, id, name, created_on);
    return ok({ kind, id, name, created_on });
  }

  /** The resource with this id, created if needed: a configuration from another account brings its own ids. */
  ensure(kind: ResourceKind, id: string, name: string): Resource {
    const found = this.get(kind, id);
    if (found !== undefined) return found;
    const taken = this.named(kind, name) !== undefined;
    const created = this.create(kind, taken ? `${name}-${id}` : name, id);
    return created.ok ? created.value : (this.get(kind, id) as Resource);
  }

  /** The resource with this name, created if needed. */
  ensureNamed(kind: ResourceKind, name: string): Resource {
    const found = this.named(kind, name);
    return found ?? this.ensure(kind, newId(), name);
  }

  rename(kind: ResourceKind, id: string, name: string): Result<Resource, SluiceError> {
    const found = this.get(kind, id);
    if (found === undefined) return err({ reason: "resource-not-found", kind, id });
    const other = this.named(kind, name);
    if (other !== undefined && other.id !== id) return err({ reason: "resource-exists", kind, name });
    this.#sql.exec("UPDATE resource SET name = ? WHERE kind = ? AND id = ?", name, kind, id);
    return ok({ ...found, name });
  }

  remove(kind: ResourceKind, id: string): Result<null, SluiceError> {
    if (this.get(kind, id) === undefined) return err({ reason: "resource-not-found", kind, id });
    this.#sql.exec("DELETE FROM resource WHERE kind = ? AND id = ?", kind, id);
    return ok(null);
  }

  #rows(query: string, ...bindings: string[]): Resource[] {
    return this.#sql.exec<Row>(query, ...bindings).toArray();
  }
}

export function accountOf({ ACCOUNT }: Pick<Env, "ACCOUNT">): Rpc<AccountRegistry> {
  return stubOf(ACCOUNT, ACCOUNT_OBJECT);
}
