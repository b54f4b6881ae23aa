/** What each role may call: the whole table, and what no path can get around. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ROLES } from "../../src/account/access.ts";
import { mayCall } from "../../src/control/auth.ts";

const ACCOUNT = "/client/v4/accounts/sluice";
const SCRIPT = `${ACCOUNT}/workers/scripts/shop`;
const KV = `${ACCOUNT}/storage/kv/namespaces`;

type Row = readonly [method: string, path: string];

/** What a token with the role `read` may call as well. */
const READ: readonly Row[] = [
  ["GET", "/metrics"],
  ["GET", "/client/v4/user"],
  ["GET", "/client/v4/accounts"],
  ["GET", `${ACCOUNT}/workers/scripts`],
  ["GET", `${ACCOUNT}/workers/services/shop`],
  ["GET", `${SCRIPT}/versions`],
  ["HEAD", `${SCRIPT}/versions`],
  ["GET", `${SCRIPT}/versions/1f2e`],
  ["GET", `${SCRIPT}/deployments`],
  ["GET", `${SCRIPT}/explain`],
  ["GET", `${SCRIPT}/secrets`],
  ["GET", `${SCRIPT}/audit`],
  ["GET", `${SCRIPT}/metrics`],
  ["GET", `${SCRIPT}/rollouts`],
  // A tail is opened with POST and ended with DELETE, but it only reads.
  ["POST", `${SCRIPT}/tails`],
  ["DELETE", `${SCRIPT}/tails/7`],
  // What there is may be read, but not what it holds.
  ["GET", KV],
  ["GET", `${KV}/1`],
  ["GET", `${ACCOUNT}/r2/buckets`],
  ["GET", `${ACCOUNT}/r2/buckets/pictures`],
  ["GET", `${ACCOUNT}/d1/database`],
  ["GET", `${ACCOUNT}/d1/database/1`],
  ["GET", `${ACCOUNT}/queues`],
  ["GET", `${ACCOUNT}/queues/1/consumers`],
  ["GET", `${ACCOUNT}/incidents`],
  ["GET", `${ACCOUNT}/processes`],
  // A Worker may have the name of something that is protected.
  ["GET", `${ACCOUNT}/workers/scripts/tokens/versions`],
];

/** What takes the role `deploy`. */
const DEPLOY: readonly Row[] = [
  ["PUT", SCRIPT],
  ["POST", `${SCRIPT}/versions`],
  ["POST", `${SCRIPT}/deployments`],
  ["PUT", `${SCRIPT}/secrets`],
  ["DELETE", `${SCRIPT}/secrets/KEY`],
  ["PATCH", `${SCRIPT}/secrets-bulk`],
  ["POST", `${SCRIPT}/rollouts`],
  ["POST", `${SCRIPT}/rollouts/1/abort`],
  ["PUT", `${SCRIPT}/routes`],
  ["PUT", `${SCRIPT}/schedules`],
  ["PATCH", `${SCRIPT}/options`],
  ["DELETE", `${ACCOUNT}/workers/services/shop`],
  ["POST", `${ACCOUNT}/drain`],
  ["POST", KV],
  ["DELETE", `${KV}/1`],
  ["GET", `${KV}/1/keys`],
  ["GET", `${KV}/1/values/password`],
  ["HEAD", `${KV}/1/values/password`],
  ["GET", `${KV}/1/metadata/password`],
  ["POST", `${KV}/1/bulk/get`],
  ["GET", `${ACCOUNT}/r2/buckets/pictures/objects/cat.png`],
  ["PUT", `${ACCOUNT}/r2/buckets/pictures/objects/cat.png`],
  ["POST", `${ACCOUNT}/d1/database/1/query`],
  ["POST", `${ACCOUNT}/d1/database/1/raw`],
  ["POST", `${ACCOUNT}/d1/database/1/import`],
  ["POST", `${ACCOUNT}/analytics_engine/sql`],
  ["GET", `${ACCOUNT}/analytics_engine/sql`],
  ["GET", `${ACCOUNT}/d1/database/1/query`],
  ["POST", `${ACCOUNT}/queues/1/purge`],
  // Only the tails of a Worker: not whatever has such a name.
  ["POST", `${ACCOUNT}/tails`],
  ["PUT", `${ACCOUNT}/workers/scripts/tails`],
  ["POST", `${SCRIPT}/tails/7/more`],
];

/** What takes the role `admin`. */
const ADMIN: readonly Row[] = [
  ["GET", `${ACCOUNT}/tokens`],
  ["POST", `${ACCOUNT}/tokens`],
  ["DELETE", `${ACCOUNT}/tokens/ci`],
  ["GET", "/client/v4/accounts/other/tokens"],
  // The supervisor says so, and nobody else may.
  ["POST", `${ACCOUNT}/incidents`],
  ["PUT", `${ACCOUNT}/processes`],
];

describe.each([
  ["read", READ, ["admin", "deploy", "read"]],
  ["deploy", DEPLOY, ["admin", "deploy"]],
  ["admin", ADMIN, ["admin"]],
] as const)("what takes the role %s", (_, rows, allowed) => {
  test.each(rows)("%s %s", (method, path) => {
    expect(ROLES.filter((role) => mayCall(role, method, path))).toEqual(allowed);
  });
});

test("a stronger role may call whatever a weaker one may, on any path", () => {
  const segment = fc.constantFrom(
    ...["accounts", "sluice", "workers", "scripts", "tails", "tokens", "storage", "kv", "namespaces", "r2"],
    ...["buckets", "objects", "d1", "database", "analytics_engine", "1", ""],
  );
  const path = fc.array(segment, { maxLength: 9 }).map((parts) => `/${parts.join("/")}`);
  const method = fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE");
  fc.assert(
    fc.property(method, path, (verb, url) => {
      const [admin, deploy, read] = ROLES.map((role) => mayCall(role, verb, url));
      expect(admin).toBe(true);
      expect(deploy || !read).toBe(true);
      if (/\/accounts\/[^/]+\/tokens(\/|$)/.test(url)) expect(deploy || read).toBe(false);
    }),
  );
});
