/** Tokens, what their roles may do, and the trail of who did what. */
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  answering,
  call,
  createDeployment,
  deploy,
  type Reply,
  readEnvelope,
  uploadForm,
  uploadVersion,
} from "../support/client.ts";
import { disposeServer, type Server, startServer, TOKEN } from "../support/server.ts";
import { runSluice } from "./helpers.ts";

let server: Server;
let stable: string;
let candidate: string;

beforeAll(async () => {
  server = await startServer();
  stable = await deploy(server, "guarded", answering("stable"));
  candidate = await uploadVersion(server, "guarded", answering("candidate"));
});

afterAll(() => disposeServer(server));

async function makeToken(name: string, role: string): Promise<string> {
  const { result, errors } = await call(server, "POST", "/tokens", { name, role });
  expect(errors).toEqual([]);
  return result.value;
}

/** A call with another token than the admin's. */
async function as(token: string, method: string, path: string, body?: unknown): Promise<Reply> {
  const init = body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) };
  return readEnvelope(
    await server.api(method, path, { ...init, headers: { Authorization: `Bearer ${token}` } }),
  );
}

const sluice = (...args: string[]) =>
  runSluice([...args, "--data-dir", server.dataDir], { SLUICE_API_TOKEN: TOKEN });

describe("a token", () => {
  test("is shown once, listed without its value, and refused from the moment when it is revoked", async () => {
    const made = await sluice("token", "create", "ci", "--role", "deploy");
    const value = made.stdout.trim();
    expect(value).toMatch(/^sluice_\S{32}$/);
    expect((await as(value, "GET", "/workers/scripts")).status).toBe(200);
    const listed = await sluice("token", "list", "--json");
    expect(JSON.parse(listed.stdout)).toEqual([
      expect.objectContaining({
        name: "ci",
        role: "deploy",
        created_by: "admin@localhost",
        last_used_on: expect.any(String),
      }),
    ]);
    expect(listed.stdout).not.toContain(value);
    expect((await sluice("token", "revoke", "ci")).code).toBe(0);
    expect(await as(value, "GET", "/workers/scripts")).toMatchObject({
      status: 401,
      errors: [{ code: 10000 }],
    });
    expect(await sluice("token", "revoke", "ci")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("There is no token ci"),
    });
  });

  test("outlives a restart, and so does its revocation", async () => {
    const [kept, gone] = [await makeToken("kept", "read"), await makeToken("gone", "read")];
    await call(server, "DELETE", "/tokens/gone");
    await server.stop();
    server = await startServer({ like: server });
    expect((await as(kept, "GET", "/workers/scripts")).status).toBe(200);
    expect((await as(gone, "GET", "/workers/scripts")).status).toBe(401);
  });

  test.each([
    [{ name: "", role: "read" }],
    [{ name: "UPPER", role: "read" }],
    [{ name: "x".repeat(51), role: "read" }],
    [{ name: "fine", role: "owner" }],
    [{ name: "fine" }],
    [{}],
  ])("with %j is refused, and none is made", async (body) => {
    const before = (await call(server, "GET", "/tokens")).result.length;
    expect((await call(server, "POST", "/tokens", body)).status).toBe(400);
    expect((await call(server, "GET", "/tokens")).result).toHaveLength(before);
  });

  test("of a name that is taken is refused", async () => {
    await makeToken("twice", "read");
    expect(await call(server, "POST", "/tokens", { name: "twice", role: "admin" })).toMatchObject({
      status: 409,
    });
  });

  test("is nowhere on disk in plain text", async () => {
    const value = await makeToken("hashed", "read");
    const search = spawnSync("grep", ["-rlaF", value, server.dataDir]);
    // 1: searched, and not found.
    expect([search.status, search.stdout.toString()]).toEqual([1, ""]);
  });
});

describe("the role read", () => {
  let token: string;

  beforeAll(async () => {
    token = await makeToken("reader", "read");
    await call(server, "POST", "/storage/kv/namespaces", { title: "private" });
  });

  test.each([
    "/workers/scripts",
    "/workers/scripts/guarded/versions",
    "/workers/scripts/guarded/deployments",
    "/workers/scripts/guarded/metrics",
    "/workers/scripts/guarded/audit",
    "/workers/scripts/guarded/rollouts",
    "/workers/scripts/guarded/secrets",
    "/workers/scripts/guarded/explain?key=a",
    "/storage/kv/namespaces",
  ])("may look at %s", async (path) => {
    expect((await as(token, "GET", path)).status).toBe(200);
  });

  test("may watch a Worker's events", async () => {
    const tail = await as(token, "POST", "/workers/scripts/guarded/tails", {});
    expect(tail.status).toBe(200);
    expect((await as(token, "DELETE", `/workers/scripts/guarded/tails/${tail.result.id}`)).status).toBe(200);
  });

  test("changes nothing, whatever it calls", async () => {
    const before = await call(server, "GET", "/workers/scripts/guarded/deployments");
    const shares = { versions: [{ version_id: candidate, percentage: 100 }] };
    for (const [method, path, body] of [
      ["PUT", "/workers/scripts/guarded", uploadForm(answering("mine"))],
      ["PUT", "/workers/scripts/another", uploadForm(answering("mine"))],
      ["POST", "/workers/scripts/guarded/versions", uploadForm(answering("mine"))],
      ["POST", "/workers/scripts/guarded/deployments", shares],
      ["POST", "/workers/scripts/guarded/deployments?force=true", shares],
      ["POST", "/workers/scripts/guarded/rollouts", { version_id: candidate }],
      ["PUT", "/workers/scripts/guarded/secrets", { name: "A", text: "x", type: "secret_text" }],
      ["PATCH", "/workers/workers/guarded/versions/latest", { env: {} }],
      ["PATCH", "/workers/scripts/guarded/options", { protect: true }],
      ["PUT", "/workers/scripts/guarded/affinity", { sources: null }],
      ["POST", "/workers/scripts/guarded/subdomain", { enabled: false }],
      ["PUT", "/workers/scripts/guarded/schedules", []],
      ["DELETE", "/workers/services/guarded", undefined],
      ["POST", "/storage/kv/namespaces", { title: "mine" }],
      ["POST", "/drain", undefined],
      ["POST", "/tokens", { name: "mine", role: "admin" }],
    ] as const) {
      expect(await as(token, method, path, body), `${method} ${path}`).toMatchObject({
        status: 403,
        errors: [{ code: 9109 }],
      });
    }
    expect((await call(server, "GET", "/workers/scripts/guarded/deployments")).result).toEqual(before.result);
    expect((await call(server, "GET", "/workers/scripts/another/versions")).status).toBe(404);
  });

  test("does not see what Workers store, nor who else has a token", async () => {
    const [namespace] = (await call(server, "GET", "/storage/kv/namespaces")).result;
    for (const path of [
      `/storage/kv/namespaces/${namespace.id}/keys`,
      `/storage/kv/namespaces/${namespace.id}/values/a`,
      "/r2/buckets/any/objects/a",
      "/tokens",
    ]) {
      expect((await as(token, "GET", path)).status, path).toBe(403);
    }
    expect((await as(token, "POST", "/d1/database/any/query", { sql: "SELECT 1" })).status).toBe(403);
    expect((await as(token, "POST", "/analytics_engine/sql", {})).status).toBe(403);
  });
});

test("the role deploy deploys, under its own name, and makes no tokens", async () => {
  const token = await makeToken("deployer", "deploy");
  const deployed = await as(token, "POST", "/workers/scripts/guarded/deployments", {
    versions: [
      { version_id: stable, percentage: 90 },
      { version_id: candidate, percentage: 10 },
    ],
  });
  expect(deployed.result.author_email).toBe("deployer@localhost");
  for (const [method, path] of [
    ["GET", "/tokens"],
    ["POST", "/tokens"],
    ["DELETE", "/tokens/deployer"],
  ] as const) {
    expect(
      (await as(token, method, path, method === "POST" ? { name: "mine", role: "admin" } : undefined)).status,
    ).toBe(403);
  }
});

describe("the audit trail", () => {
  test("says who did what, with secrets named and never shown, and outlives its Worker", async () => {
    const a = await deploy(server, "audited", answering("a"));
    const b = await uploadVersion(server, "audited", answering("b"));
    await createDeployment(
      server,
      "audited",
      [
        [a, 75],
        [b, 25],
      ],
      "a quarter",
    );
    await call(server, "PATCH", "/workers/scripts/audited/options", {
      webhooks: [{ url: "https://example.com/hook", secret: "do-not-show" }],
    });
    await call(server, "PUT", "/workers/scripts/audited/schedules", [{ cron: "0 4 * * *" }]);
    // The same once more is no change.
    await call(server, "PUT", "/workers/scripts/audited/schedules", [{ cron: "0 4 * * *" }]);
    await call(server, "DELETE", "/workers/services/audited");
    const { result, result_info } = (await call(server, "GET", "/workers/scripts/audited/audit")) as Reply & {
      result_info: { total_count: number };
    };
    expect(JSON.stringify(result)).not.toContain("do-not-show");
    expect(result.map(({ action }: { action: string }) => action)).toEqual([
      "delete",
      "triggers",
      "settings",
      "deployment",
      "version",
      "deployment",
      "version",
    ]);
    expect(result_info.total_count).toBe(7);
    expect(result[3]).toMatchObject({
      author_email: "admin@localhost",
      source: "api",
      detail: {
        message: "a quarter",
        before: [{ version_id: a, percentage: 100 }],
        versions: [{ percentage: 75 }, { percentage: 25 }],
      },
    });
    expect(result[1].detail).toEqual({ crons: ["0 4 * * *"], before: [] });
  });

  test("comes in pages, newest first, and is 404 for a name that never was one", async () => {
    const worker = "paged";
    await deploy(server, worker, answering("a"));
    for (let i = 0; i < 5; i++)
      await call(server, "PATCH", `/workers/scripts/${worker}/options`, { protect: i % 2 === 0 });
    const page = async (number: number) =>
      (await call(server, "GET", `/workers/scripts/${worker}/audit?page=${number}&per_page=3`)).result.map(
        ({ seq }: { seq: number }) => seq,
      );
    expect([await page(1), await page(2), await page(3), await page(4)]).toEqual([
      [7, 6, 5],
      [4, 3, 2],
      [1],
      [],
    ]);
    expect((await call(server, "GET", "/workers/scripts/never-was/audit")).status).toBe(404);
  });
});

describe("a check of a deployment", () => {
  test("says what would be refused, and changes nothing", async () => {
    const before = (await call(server, "GET", "/workers/scripts/guarded/deployments")).result;
    const check = (versions: unknown) =>
      call(server, "POST", "/workers/scripts/guarded/deployments?dry_run=true", { versions });
    expect(await check([{ version_id: stable, percentage: 100 }])).toMatchObject({
      status: 200,
      result: { versions: [{ version_id: stable, number: 1, percentage: 100 }] },
    });
    expect((await check([{ version_id: stable, percentage: 50 }])).status).toBe(400);
    expect((await check([{ version_id: crypto.randomUUID(), percentage: 100 }])).status).toBe(404);
    expect((await call(server, "GET", "/workers/scripts/guarded/deployments")).result).toEqual(before);
  });
});
