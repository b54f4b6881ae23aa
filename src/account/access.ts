/**
 * Who may do what: API tokens with their roles, and the sessions of those who signed in to the dashboard with one. Of both only
 * the SHA-256 is kept. The admin token of the configuration is not among them.
 */
import { LIMITS } from "../lib/limits.ts";

/** admin: everything. deploy: everything but tokens. read: what there is and what happens, but nothing that Workers store. */
export const ROLES = ["admin", "deploy", "read"] as const;
export type Role = (typeof ROLES)[number];

/** Id of the token of the configuration. */
export const ADMIN_ID = "admin";

export interface ApiToken {
  readonly id: string;
  /** Unique among those that are not revoked. */
  readonly name: string;
  readonly role: Role;
  /** ISO 8601 in UTC. */
  readonly created_on: string;
  readonly created_by: string;
  /** ISO 8601 in UTC, exact to a minute; null where it was never used. */
  readonly used_on: string | null;
}

export interface Session {
  readonly token_id: string;
  /** Of the token that it was opened with: another admin token ends the sessions of the one before. */
  readonly token_sha256: string;
  /** What forms have to send back. */
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

type TokenRow = Omit<ApiToken, "used_on"> & { used: number | null } & Record<string, SqlStorageValue>;

const COLUMNS = "id, name, role, created_on, created_by, used";

export class Access {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** By name. */
  tokens(): ApiToken[] {
    return this.#tokens(`SELECT ${COLUMNS} FROM token ORDER BY name`);
  }

  /** @returns undefined where a token has the name */
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

  /** Its sessions end with it. @param name or id @returns the token that was revoked */
  revoke(name: string): ApiToken | undefined {
    const [found] = this.#tokens(`SELECT ${COLUMNS} FROM token WHERE id = ? OR name = ?`, name, name);
    if (found === undefined) return undefined;
    this.#sql.exec("DELETE FROM token WHERE id = ?", found.id);
    this.closeSessions(found.id);
    return found;
  }

  /** The token with this SHA-256; notes that it was used. */
  use(sha256: string, now: number): ApiToken | undefined {
    const [found] = this.#tokens(`SELECT ${COLUMNS} FROM token WHERE sha256 = ?`, sha256);
    if (found === undefined) return undefined;
    if (found.used_on === null || now - Date.parse(found.used_on) > LIMITS.dashboard.tokenUseMs) {
      this.#sql.exec("UPDATE token SET used = ? WHERE id = ?", now, found.id);
    }
    return found;
  }

  /** @param sha256 of the value that the browser keeps */
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

  /** Undefined where it has ended, or its token was revoked. */
  session(
    sha256: string,
    now: number,
  ): { readonly session: Session; readonly token: ApiToken | undefined } | undefined {
    const [found] = this.#sql
      .exec<Session & Record<string, SqlStorageValue>>(
        "SELECT token_id, token_sha256, csrf, expires FROM session WHERE sha256 = ? AND expires > ?",
        sha256,
        now,
      )
      .toArray();
    if (found === undefined) return undefined;
    const [token] = this.#tokens(`SELECT ${COLUMNS} FROM token WHERE id = ?`, found.token_id);
    return token === undefined && found.token_id !== ADMIN_ID ? undefined : { session: found, token };
  }

  closeSession(sha256: string): void {
    this.#sql.exec("DELETE FROM session WHERE sha256 = ?", sha256);
  }

  /** All that were opened with a token. @returns how many */
  closeSessions(tokenId: string): number {
    return this.#sql.exec("DELETE FROM session WHERE token_id = ? RETURNING 1", tokenId).toArray().length;
  }

  #tokens(query: string, ...bindings: string[]): ApiToken[] {
    return this.#sql
      .exec<TokenRow>(query, ...bindings)
      .toArray()
      .map(({ used, ...token }) => ({
        ...token,
        used_on: used === null ? null : new Date(used).toISOString(),
      }));
  }
}
