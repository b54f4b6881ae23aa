/**
 * Who may do what: API tokens with their roles, and the dashboard sessions that were opened with one. Only the SHA-256 of a
 * token or session cookie is stored. The admin token of the configuration is not in these tables.
 */
import { LIMITS } from "../lib/limits.ts";
import type { Sql } from "../lib/sqlite.ts";

/**
 * admin: everything. deploy: everything except tokens. read: what exists and what happens, but not what Workers store.
 */
export const ROLES = ["admin", "deploy", "read"] as const;
export type Role = (typeof ROLES)[number];

/** Id of the configuration's token. */
export const ADMIN_ID = "admin";

export interface ApiToken {
  readonly id: string;
  /** Unique: revoking a token frees its name. */
  readonly name: string;
  readonly role: Role;
  /** ISO 8601 in UTC. */
  readonly created_on: string;
  readonly created_by: string;
  /** ISO 8601 in UTC, accurate to a minute; null if it was never used. */
  readonly used_on: string | null;
}

export interface Session {
  readonly token_id: string;
  /** SHA-256 of the token that opened it: changing the admin token ends the sessions of the previous one. */
  readonly token_sha256: string;
  /** Secret that every form must send back. */
  readonly csrf: string;
  /** ms since the epoch. */
  readonly expires: number;
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS token (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  sha256 TEXT NOT NULL UNIQUE,           -- of the token, in hex
  created_on TEXT NOT NULL,
  created_by TEXT NOT NULL,
  used INTEGER                           -- ms since the epoch
);
CREATE TABLE IF NOT EXISTS session (
  sha256 TEXT PRIMARY KEY,               -- of the cookie's value, in hex
  token_id TEXT NOT NULL,
  token_sha256 TEXT NOT NULL,
  csrf TEXT NOT NULL,
  expires INTEGER NOT NULL               -- ms since the epoch
);
`;

type TokenRow = Omit<ApiToken, "used_on"> & { readonly used: number | null };

const COLUMNS = "id, name, role, created_on, created_by, used";

/** Times are passed in as ms since the epoch. */
export class Access {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** All tokens, by name. */
  tokens(): ApiToken[] {
    return this.#tokens(`SELECT ${COLUMNS} FROM token ORDER BY name`);
  }

  /** @returns undefined where a token has the name already */
  create(
    token: Pick<ApiToken, "name" | "role" | "created_by">,
    sha256: string,
    now: number,
  ): ApiToken | undefined {
    const { name, role, created_by } = token;
    if (this.#tokens(`SELECT ${COLUMNS} FROM token WHERE name = ?`, name).length > 0) return undefined;
    const created = {
      id: crypto.randomUUID(),
      name,
      role,
      created_on: new Date(now).toISOString(),
      created_by,
    };
    this.#sql.exec(
      "INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, NULL)",
      created.id,
      name,
      role,
      sha256,
      created.created_on,
      created_by,
    );
    return { ...created, used_on: null };
  }

  /** Deletes a token and ends its sessions. @param name or id @returns the token, or undefined where there is none */
  revoke(name: string): ApiToken | undefined {
    const [found] = this.#tokens(`SELECT ${COLUMNS} FROM token WHERE id = ? OR name = ?`, name, name);
    if (found === undefined) return undefined;
    this.#sql.exec("DELETE FROM token WHERE id = ?", found.id);
    this.closeSessions(found.id);
    return found;
  }

  /** The token with this SHA-256. Records that it was used. */
  use(sha256: string, now: number): ApiToken | undefined {
    const [found] = this.#tokens(`SELECT ${COLUMNS} FROM token WHERE sha256 = ?`, sha256);
    if (found === undefined) return undefined;
    if (found.used_on === null || now - Date.parse(found.used_on) > LIMITS.dashboard.tokenUseMs) {
      this.#sql.exec("UPDATE token SET used = ? WHERE id = ?", now, found.id);
    }
    return found;
  }

  /** Also deletes the sessions that have expired. @param sha256 of the value that the browser keeps */
  openSession(sha256: string, session: Session, now: number): void {
    this.#sql.exec("DELETE FROM session WHERE expires <= ?", now);
    const { token_id, token_sha256, csrf, expires } = session;
    this.#sql.exec(
      "INSERT INTO session VALUES (?, ?, ?, ?, ?)",
      sha256,
      token_id,
      token_sha256,
      csrf,
      expires,
    );
  }

  /**
   * The session and its token, which is undefined for the configuration's admin token. Undefined where the session has
   * expired or its token was revoked.
   */
  session(
    sha256: string,
    now: number,
  ): { readonly session: Session; readonly token: ApiToken | undefined } | undefined {
    const [found] = this.#sql
      .exec(
        "SELECT token_id, token_sha256, csrf, expires FROM session WHERE sha256 = ? AND expires > ?",
        sha256,
        now,
      )
      .toArray() as unknown as Session[];
    if (found === undefined) return undefined;
    const [token] = this.#tokens(`SELECT ${COLUMNS} FROM token WHERE id = ?`, found.token_id);
    return token === undefined && found.token_id !== ADMIN_ID ? undefined : { session: found, token };
  }

  closeSession(sha256: string): void {
    this.#sql.exec("DELETE FROM session WHERE sha256 = ?", sha256);
  }

  /** Ends all sessions that were opened with a token. @returns how many */
  closeSessions(tokenId: string): number {
    return this.#sql.exec("DELETE FROM session WHERE token_id = ? RETURNING 1", tokenId).toArray().length;
  }

  #tokens(query: string, ...bindings: string[]): ApiToken[] {
    const rows = this.#sql.exec(query, ...bindings).toArray() as unknown as TokenRow[];
    return rows.map(({ used, ...token }) => ({
      ...token,
      used_on: used === null ? null : new Date(used).toISOString(),
    }));
  }
}
