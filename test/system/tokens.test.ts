/** Ways around roles, none of which lead there: other spellings of paths, other methods, names and ids of other tokens. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, deploy, readEnvelope, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, TOKEN } from "../support/server.ts";
import { runSluice, send } from "./helpers.ts";

const BASE = "/client/v4/accounts/sluice";

let server: Server;
let reader: string;
let deployer: string;
let namespace: string;

beforeAll(async () => {
  server = await startServer();
  await deploy(server, "guarded", answering("guarded"));
  await uploadVersion(server, "guarded", answering("more"));
  const made = async (name: string, role: string) =>
    (await call(server, "POST", "/tokens", { name, role })).result.value;
  reader = await made("reader", "read");
  deployer = await made("deployer", "deploy");
  namespace = (await call(server, "POST", "/storage/kv/namespaces", { title: "private" })).result.id;
  const put = await server.api("PUT", `/storage/kv/namespaces/${namespace}/values/hidden`, {
    body: "secret!",
  });
  expect(put.status).toBe(200);
});

afterAll(() => disposeServer(server));

/** The path goes into the request line as it is. */
const raw = (token: string, method: string, path: string, body?: string) =>
  send({
    port: server.controlPort,
    method,
    path,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: Buffer.from(body) }),
  });

describe("another spelling of a path", () => {
  test.each([
    "/storage/kv/namespaces/NS/values/hidden",
    "/st%6Frage/kv/namespaces/NS/values/hidden",
    "/storage/kv/n%61mespaces/NS/v%61lues/hidden",
    "/storage%2Fkv/namespaces/NS/values/hidden",
    "/storage/kv/namespaces/NS/%76alues/hidden",
    "/storage/kv/namespaces/NS//values/hidden",
    "/storage/./kv/namespaces/NS/values/hidden",
    "/workers/../storage/kv/namespaces/NS/values/hidden",
    "/workers/%2e%2e/storage/kv/namespaces/NS/values/hidden",
    "//storage/kv/namespaces/NS/values/hidden",
    "/STORAGE/kv/namespaces/NS/values/hidden",
    "/storage/kv/namespaces/NS/values/hidden/tails",
    "/storage/kv/namespaces/NS/values/hidden?a=/workers/scripts/x/tails",
    "/storage/kv/namespaces/NS/keys",
    "/storage/kv/namespaces/NS/metadata/hidden",
  ])("shows a reader no stored value: %s", async (path) => {
    const answer = await raw(reader, "GET", BASE + path.replace("NS", namespace));
    expect([403, 404]).toContain(answer.status);
    expect(answer.body.toString()).not.toMatch(/secret!|"hidden"/);
  });

  test.each([
    "/tokens",
    "/t%6Fkens",
    "/%74okens",
    "//tokens",
    "/tokens/",
    "/./tokens",
    "/workers/../tokens",
    "/tokens?x=/workers/scripts/a/tails",
  ])("makes no token for a deployer, nor for a reader: %s", async (path) => {
    for (const token of [reader, deployer]) {
      const answer = await raw(token, "POST", BASE + path, '{"name":"mine","role":"admin"}');
      expect([403, 404]).toContain(answer.status);
    }
    const names = (await call(server, "GET", "/tokens")).result.map(({ name }: { name: string }) => name);
    expect(names).toEqual(["deployer", "reader"]);
  });

  test.each([
    "/workers/scripts/guarded/deployments/tails",
    "/workers/scripts/guarded/%74ails/../deployments",
    "/workers/scripts/guarded%2Ftails",
    "/workers/scripts/guarded/deployments?a=/workers/scripts/guarded/tails",
    "/workers/scripts/guarded/rollouts",
  ])("deploys nothing for a reader: %s", async (path) => {
    const before = (await call(server, "GET", "/workers/scripts/guarded/deployments")).result;
    const [{ version_id }] = before.deployments[0].versions;
    const body = JSON.stringify({ version_id, versions: [{ version_id, percentage: 100 }] });
    expect([403, 404, 405]).toContain((await raw(reader, "POST", BASE + path, body)).status);
    expect((await call(server, "GET", "/workers/scripts/guarded/deployments")).result).toEqual(before);
  });
});

test("a method that a client asks for in a header is not the method of the request", async () => {
  const answer = await send({
    port: server.controlPort,
    path: `${BASE}/workers/services/guarded`,
    headers: {
      Authorization: `Bearer ${reader}`,
      "X-HTTP-Method-Override": "DELETE",
      "X-HTTP-Method": "DELETE",
    },
  });
  expect(answer.status).toBe(200);
  expect((await call(server, "GET", "/workers/services/guarded")).status).toBe(200);
});

test.each(["read", "deploy", "admin"])("the role %s may scrape /metrics", async (role) => {
  const token = { read: reader, deploy: deployer, admin: TOKEN }[role] as string;
  const answer = await raw(token, "GET", "/metrics");
  expect(answer.status).toBe(200);
  expect(answer.body.toString()).toContain('sluice_deployment_revision{worker="guarded"}');
});

test("a token's name, its id or a part of its value is no token", async () => {
  const [{ id, name }] = (await call(server, "GET", "/tokens")).result;
  for (const guess of [
    id,
    name,
    reader.slice(0, -1),
    `${reader}x`,
    reader.toUpperCase(),
    "",
    "sluice_",
    "admin",
  ]) {
    const answer = await raw(guess, "GET", `${BASE}/workers/scripts`);
    expect(answer.status, guess).toBe(401);
    expect(answer.body.toString()).not.toContain("guarded");
  }
});

test("a name is free again once its token is revoked, and the old value stays dead", async () => {
  const first = (await call(server, "POST", "/tokens", { name: "again", role: "admin" })).result;
  expect((await call(server, "DELETE", `/tokens/${first.id}`)).result).toEqual({ id: first.id });
  const second = (await call(server, "POST", "/tokens", { name: "again", role: "read" })).result;
  expect(second.id).not.toBe(first.id);
  expect((await raw(first.value, "GET", `${BASE}/workers/scripts`)).status).toBe(401);
  expect((await raw(second.value, "GET", `${BASE}/workers/scripts`)).status).toBe(200);
  expect((await raw(second.value, "POST", `${BASE}/drain`)).status).toBe(403);
  await call(server, "DELETE", "/tokens/again");
});

test("an admin token that was made makes and revokes others, under its own name, and the configured one stays", async () => {
  const second = (await call(server, "POST", "/tokens", { name: "second", role: "admin" })).result.value;
  const init = (body: object) => ({
    body: JSON.stringify(body),
    headers: { Authorization: `Bearer ${second}` },
  });
  const made = await readEnvelope(await server.api("POST", "/tokens", init({ name: "third", role: "read" })));
  expect(made.result).toMatchObject({ role: "read", created_by: "second@localhost", last_used_on: null });
  for (const name of ["admin", "nobody"]) {
    const refused = await readEnvelope(
      await server.api("DELETE", `/tokens/${name}`, { headers: { Authorization: `Bearer ${second}` } }),
    );
    expect(refused.status).toBe(404);
  }
  expect((await call(server, "GET", "/tokens")).status).toBe(200);
  for (const name of ["second", "third"]) await call(server, "DELETE", `/tokens/${name}`);
});

test("sluice says what a role may not do, and fails", async () => {
  const as = (token: string, ...args: string[]) =>
    runSluice([...args, "--data-dir", server.dataDir], { SLUICE_API_TOKEN: token });
  const refused = await as(reader, "protect", "guarded", "on");
  expect(refused).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/read/) });
  expect((await call(server, "GET", "/workers/scripts/guarded/options")).result.protect).toBe(false);
  expect(await as(deployer, "token", "list")).toMatchObject({ code: 1, stdout: "" });
  expect((await as(reader, "metrics", "guarded", "--json")).code).toBe(0);
});
