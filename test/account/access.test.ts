/** API tokens and sessions: who gets in, until when, and what is kept of them. */
import { beforeEach, describe, expect, test } from "vitest";
import { Access, ADMIN_ID, type ApiToken, type Session } from "../../src/account/access.ts";
import { LIMITS } from "../../src/lib/limits.ts";
import type { Sql } from "../../src/lib/sqlite.ts";
import { openSqlite } from "../support/sqlite.ts";

const NOW = Date.UTC(2026, 10, 23, 12);
const MINUTE = 60_000;

let sql: Sql;
let access: Access;
beforeEach(() => {
  sql = openSqlite();
  access = new Access(sql);
});

function create(name: string, sha256 = `hash of ${name}`): ApiToken {
  const made = access.create({ name, role: "deploy", created_by: "anna@example.com" }, sha256, NOW);
  if (made === undefined) throw new Error(`${name} is taken`);
  return made;
}

const sessionOf = (token_id: string, change: Partial<Session> = {}): Session => ({
  token_id,
  token_sha256: `hash of ${token_id}`,
  csrf: "csrf",
  expires: NOW + MINUTE,
  ...change,
});

describe("a token", () => {
  test("is found by its SHA-256, and by nothing else of it", () => {
    const made = create("ci");
    expect(access.use("hash of ci", NOW)).toEqual(made);
    for (const other of ["", "ci", made.id, "HASH OF CI", "hash of c_", "hash of %"]) {
      expect(access.use(other, NOW), other).toBeUndefined();
    }
  });

  test("is listed by name, without its SHA-256", () => {
    create("zoe");
    create("ann");
    expect(access.tokens().map(({ name }) => name)).toEqual(["ann", "zoe"]);
    expect(JSON.stringify(access.tokens())).not.toContain("hash of");
  });

  test("keeps its name to itself until it is revoked", () => {
    const first = create("ci");
    expect(
      access.create({ name: "ci", role: "admin", created_by: "eve@example.com" }, "other hash", NOW),
    ).toBeUndefined();
    expect(access.tokens()).toEqual([first]);
    access.revoke("ci");
    expect(create("ci", "other hash").id).not.toBe(first.id);
  });

  test.each(["id", "name"] as const)("is revoked by its %s, and then opens nothing", (by) => {
    const made = create("ci");
    create("other");
    expect(access.revoke(made[by])).toEqual(made);
    expect(access.use("hash of ci", NOW)).toBeUndefined();
    expect(access.use("hash of other", NOW)).toBeDefined();
    expect(access.revoke(made[by]), "twice").toBeUndefined();
  });

  test("notes its use to the minute: one write for all requests of a minute", () => {
    create("ci");
    const used = () => access.tokens()[0]?.used_on;
    expect(used()).toBeNull();
    access.use("hash of ci", NOW);
    expect(used()).toBe(new Date(NOW).toISOString());
    access.use("hash of ci", NOW + LIMITS.dashboard.tokenUseMs);
    expect(used()).toBe(new Date(NOW).toISOString());
    access.use("hash of ci", NOW + LIMITS.dashboard.tokenUseMs + 1);
    expect(used()).toBe(new Date(NOW + LIMITS.dashboard.tokenUseMs + 1).toISOString());
  });

  test("survives a restart", () => {
    const made = create("ci");
    expect(new Access(sql).tokens()).toEqual([made]);
  });
});

describe("a session", () => {
  test("has its token, until the millisecond at which it expires", () => {
    const token = create("ci");
    access.openSession("cookie", sessionOf(token.id), NOW);
    expect(access.session("cookie", NOW + MINUTE - 1)).toEqual({ session: sessionOf(token.id), token });
    expect(access.session("cookie", NOW + MINUTE)).toBeUndefined();
    expect(access.session("other", NOW)).toBeUndefined();
  });

  test("of the configuration's token has no token in the table", () => {
    access.openSession("cookie", sessionOf(ADMIN_ID), NOW);
    expect(access.session("cookie", NOW)).toEqual({ session: sessionOf(ADMIN_ID), token: undefined });
  });

  test("of a token that does not exist opens nothing", () => {
    access.openSession("cookie", sessionOf("nobody"), NOW);
    expect(access.session("cookie", NOW)).toBeUndefined();
  });

  test("ends when its token is revoked, and a new token of that name does not open it again", () => {
    const [token, other] = [create("ci"), create("other")];
    access.openSession("cookie", sessionOf(token.id), NOW);
    access.openSession("others", sessionOf(other.id), NOW);
    access.revoke("ci");
    create("ci", "new hash");
    expect(access.session("cookie", NOW)).toBeUndefined();
    expect(access.session("others", NOW)).toBeDefined();
    expect(sql.exec("SELECT sha256 FROM session").toArray()).toEqual([{ sha256: "others" }]);
  });

  test("can be closed alone, or with all others of its token", () => {
    const [token, other] = [create("ci"), create("other")];
    for (const cookie of ["a", "b", "c"]) access.openSession(cookie, sessionOf(token.id), NOW);
    access.openSession("d", sessionOf(other.id), NOW);
    access.closeSession("a");
    expect(access.session("a", NOW)).toBeUndefined();
    expect(access.session("b", NOW)).toBeDefined();
    expect(access.closeSessions(token.id)).toBe(2);
    expect(access.session("b", NOW)).toBeUndefined();
    expect(access.session("d", NOW)).toBeDefined();
  });

  test("is deleted once it has expired, when the next one opens", () => {
    const token = create("ci");
    access.openSession("old", sessionOf(token.id), NOW);
    access.openSession("new", sessionOf(token.id, { expires: NOW + 3 * MINUTE }), NOW + 2 * MINUTE);
    const kept = sql.exec("SELECT sha256 FROM session").toArray();
    expect(kept).toEqual([{ sha256: "new" }]);
  });
});
