/** Calls that the API must refuse: deployments, secrets, settings, addresses and callers. */
import { describe, expect, test } from "vitest";
import { call, type Reply, readEnvelope, uploadForm } from "../../support/client.ts";
import { send, sendCarefully } from "../helpers.ts";
import {
  candidate,
  changingNothing,
  expectRefusal,
  foreign,
  MiB,
  multipart,
  SCRIPT,
  server,
  stable,
  useTarget,
} from "./target.ts";

useTarget();

describe("a deployment that is not valid is refused and changes nothing:", () => {
  const create = (body: string | object): Promise<Reply> =>
    changingNothing(async () =>
      readEnvelope(
        await server.api("POST", `${SCRIPT}/deployments`, {
          body: typeof body === "string" ? body : JSON.stringify(body),
          headers: { "Content-Type": "application/json" },
        }),
      ),
    );
  const split = (first: unknown, second: unknown) => ({
    strategy: "percentage",
    versions: [
      { version_id: stable, percentage: first },
      { version_id: candidate, percentage: second },
    ],
  });
  const UNKNOWN = "00000000-0000-4000-8000-000000000000";

  test("with the same version twice", async () => {
    const versions = [50, 50].map((percentage) => ({ version_id: stable, percentage }));
    expectRefusal(await create({ strategy: "percentage", versions }), { says: [stable, /twice/, /once/] });
  });

  test("with the percentage NaN", async () => {
    const body = JSON.stringify(split(50, 50)).replace('"percentage":50', '"percentage":NaN');
    expectRefusal(await create(body), { says: [/JSON/] });
  });

  test.each([
    [-1, 101, /between 0 and 100/],
    [-0.001, 100, /between 0 and 100/],
    [100.001, 0, /between 0 and 100/],
    [1e300, 0, /between 0 and 100/],
    [33.3333, 66.6667, /three decimals/],
    [99.9999, 0.0001, /three decimals/],
    [50, 49.99, /add up to 99\.99;.*100/],
    [50, 50.01, /add up to 100\.01;.*100/],
    [0, 0, /add up to 0;.*100/],
    [100, 100, /add up to 200;.*100/],
    ["50", "50", /versions\.0\.percentage/],
    [null, 100, /versions\.0\.percentage/],
    [[100], 0, /versions\.0\.percentage/],
    [true, 99, /versions\.0\.percentage/],
    [undefined, 100, /versions\.0\.percentage/],
  ])("with the percentages %j and %j", async (first, second, says) => {
    expectRefusal(await create(split(first, second)), { says: [says] });
  });

  test("with three versions", async () => {
    const versions = [stable, candidate, foreign].map((version_id) => ({ version_id, percentage: 33.333 }));
    expectRefusal(await create({ strategy: "percentage", versions }), {
      says: [/one or two versions, not 3/],
    });
  });

  test("with no version", async () => {
    expectRefusal(await create({ strategy: "percentage", versions: [] }), { says: [/at least one version/] });
  });

  test.each([
    "versions is missing",
    "{}",
    "[]",
    "null",
    "",
    "{",
    '{"versions":{}}',
    '{"versions":[null]}',
    '{"versions":["x"]}',
  ])("with the body %j", async (body) => {
    expectRefusal(await create(body), { code: 9207, says: [/JSON|versions|object/] });
  });

  test("with a version that does not exist", async () => {
    const versions = [{ version_id: UNKNOWN, percentage: 100 }];
    expectRefusal(await create({ strategy: "percentage", versions }), {
      status: 404,
      says: [UNKNOWN, /versions list/],
    });
  });

  test("with a version of another Worker, even at 0%", async () => {
    for (const percentage of [100, 0]) {
      const versions = [
        { version_id: foreign, percentage },
        { version_id: stable, percentage: 100 - percentage },
      ];
      expectRefusal(await create({ strategy: "percentage", versions }), { status: 404, says: [foreign] });
    }
  });

  test.each(["", 7, null])("with the version id %j", async (version_id) => {
    expectRefusal(await create({ versions: [{ version_id, percentage: 100 }] }), { says: [/version_id/] });
  });

  test.each(["immediate", "", 7])("with the strategy %j", async (strategy) => {
    expectRefusal(await create({ ...split(50, 50), strategy }), { says: [/strategy/, /percentage/] });
  });

  test("of a Worker that does not exist", async () => {
    const path = "/workers/scripts/nobody/deployments";
    const versions = [{ version_id: stable, percentage: 100 }];
    expectRefusal(await changingNothing(() => call(server, "POST", path, { versions })), {
      status: 404,
      code: 10007,
      says: ["nobody", "wrangler deploy"],
    });
  });
});

describe("a change of secrets that is not valid is refused and changes nothing:", () => {
  const text = (method: string, path: string, body: string) =>
    changingNothing(async () => readEnvelope(await server.api(method, path, { body })));

  test.each([
    "",
    "{",
    "[]",
    "null",
    '"KEPT"',
    "{}",
    '{"name":"A"}',
    '{"text":"x"}',
    '{"name":"","text":"x"}',
  ])("one with the body %j", async (body) => {
    expectRefusal(await text("PUT", "/workers/scripts/alone/secrets", body), {
      code: 9207,
      says: [/JSON|name|text|object/],
    });
  });

  test.each([
    [{ name: 7, text: "x" }, /name/],
    [{ name: "A", text: 7 }, /text/],
    [{ name: "A", text: null }, /text/],
    [{ name: "A", text: "x", type: "secret_key" }, /secret_text/],
  ])("one with the body %j", async (body, says) => {
    expectRefusal(await text("PUT", "/workers/scripts/alone/secrets", JSON.stringify(body)), {
      code: 9207,
      says: [says],
    });
  });

  test.each([
    ["{}", /secrets/],
    ['{"secrets":[]}', /secrets/],
    ['{"secrets":"A"}', /secrets/],
    ['{"secrets":{"A":"x"}}', /A/],
    ['{"secrets":{"A":{"text":7}}}', /A/],
    ['{"secrets":{"A":{"type":"plain_text","text":"x"}}}', /secret_text/],
    ['{"secrets":{"":{"text":"x"}}}', /name/],
  ])("many with the body %j", async (body, says) => {
    expectRefusal(await text("PATCH", "/workers/scripts/alone/secrets-bulk", body), {
      code: 9207,
      says: [says],
    });
  });

  test("101 at once", async () => {
    const secrets = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`S${i}`, { text: "x" }]));
    const reply = await text("PATCH", "/workers/scripts/alone/secrets-bulk", JSON.stringify({ secrets }));
    expectRefusal(reply, { code: 9207, says: ["100"] });
  });

  test("one of more than 1 MiB", async () => {
    const body = JSON.stringify({ name: "BIG", text: "x".repeat(MiB) });
    expectRefusal(await text("PUT", "/workers/scripts/alone/secrets", body), { says: [/limit/] });
  });

  test("the deletion of a secret that does not exist, alone or among others", async () => {
    const alone = "/workers/scripts/alone";
    const one = await changingNothing(() => call(server, "DELETE", `${alone}/secrets/NOPE`));
    expectRefusal(one, { status: 404, code: 10056, says: ["NOPE"] });
    const many = { secrets: { FINE: { type: "secret_text", text: "x" }, NOPE: null } };
    const bulk = await changingNothing(() => call(server, "PATCH", `${alone}/secrets-bulk`, many));
    expectRefusal(bulk, { status: 404, code: 10056, says: ["NOPE"] });
  });

  test("of a Worker whose latest version does not serve alone: code 10215", async () => {
    const reply = await changingNothing(() =>
      call(server, "PUT", `${SCRIPT}/secrets`, { name: "A", text: "x", type: "secret_text" }),
    );
    expectRefusal(reply, { code: 10215, says: ["target", "wrangler versions secret"] });
  });

  test.each(["{}", '{"env":7}', '{"env":{"A":"x"}}', '{"env":{"A":{"type":"json","text":"x"}}}', "", "["])(
    "in a new version, with the patch %j",
    async (body) => {
      const reply = await text("PATCH", "/workers/workers/alone/versions/latest", body);
      expectRefusal(reply, { code: 9207, says: [/env|JSON/] });
    },
  );
});

describe("settings that do not exist or are not valid are refused and change nothing:", () => {
  test.each([
    ["POST", `${SCRIPT}/subdomain`, {}, /enabled/],
    ["POST", `${SCRIPT}/subdomain`, { enabled: "yes" }, /enabled/],
    ["POST", `${SCRIPT}/subdomain`, { enabled: true, previews_enabled: "yes" }, /previews_enabled/],
    ["PATCH", `${SCRIPT}/script-settings`, { logpush: true }, /Logpush/],
    ["PATCH", `${SCRIPT}/script-settings`, { tags: "a" }, /tags/],
    ["PATCH", `${SCRIPT}/script-settings`, { tail_consumers: [{ service: "x" }] }, /tail consumers/],
    ["PUT", `${SCRIPT}/schedules`, [{ cron: "61 * * * *" }], /"61 \* \* \* \*" is not valid/],
    ["PUT", `${SCRIPT}/schedules`, [{ cron: "* * * * *" }, { cron: "0 0 30 2 *" }], /never fires/],
    ["PUT", `${SCRIPT}/schedules`, { cron: "* * * * *" }, /array/],
    ["PUT", `${SCRIPT}/routes`, [{ pattern: "example.com/*/x" }], /has a \* in its middle/],
    ["PUT", `${SCRIPT}/routes`, [{}], /pattern/],
    ["PUT", `${SCRIPT}/domains/records`, { origins: [{ hostname: "*.example.com" }] }, /not a hostname/],
    ["POST", `${SCRIPT}/tails`, { filters: [{ sampling_rate: 2 }] }, /filters/],
    ["POST", `${SCRIPT}/tails`, { filters: [{ client_ip: ["self"] }] }, /--address-header/],
    ["PUT", `${SCRIPT}/affinity`, { sources: [{ type: "header", name: "a b" }] }, /name of a header/],
    ["PUT", `${SCRIPT}/affinity`, { sources: [{ type: "issued_cookie" }, { type: "address" }] }, /last one/],
    ["PUT", `${SCRIPT}/affinity`, { sources: [{ type: "magic" }] }, /type/],
    ["PATCH", `${SCRIPT}/options`, { retention: { versions: 1.5, hours: 1 } }, /versions/],
    ["PATCH", `${SCRIPT}/options`, { protect: "on" }, /protect/],
  ])("%s %s %j", async (method, path, body, says) => {
    expectRefusal(await changingNothing(() => call(server, method, path, body)), { says: [says] });
  });
});

describe("an API path that does not exist is refused:", () => {
  const raw = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const answer = await send({
      port: server.controlPort,
      method,
      path,
      headers: { Authorization: "Bearer token-for-the-tests", ...headers },
    });
    return readEnvelope(new Response(answer.body.toString(), { status: answer.status }));
  };
  const ACCOUNT = "/client/v4/accounts/sluice";

  test.each([
    "Target",
    "my.worker",
    "-dash",
    "with%20space",
    "a%2Fb",
    "%2e%2e%2fother",
    "x".repeat(64),
    "w%00",
    "w%C3%B6rker",
    "%zz",
  ])("the Worker name %s", async (name) => {
    for (const [method, path] of [
      ["GET", `workers/scripts/${name}/versions`],
      ["POST", `workers/scripts/${name}/deployments`],
      ["PUT", `workers/scripts/${name}`],
      ["GET", `workers/services/${name}`],
      ["GET", `workers/workers/${name}`],
      ["DELETE", `workers/services/${name}`],
    ] as const) {
      const reply = await changingNothing(() => raw(method, `${ACCOUNT}/${path}`));
      expectRefusal(reply, { code: 10016, says: [/cannot be the name of a Worker/, /lower-case letters/] });
    }
  });

  test.each(["GET", "PUT", "DELETE"])("another account, with %s", async (method) => {
    const path = "/client/v4/accounts/0123456789abcdef/workers/scripts/target";
    const reply = await changingNothing(() => raw(method, path));
    expectRefusal(reply, { status: 404, code: 7003, says: [/unknown account/] });
  });

  test.each([
    "/client/v4",
    "/client/v4/nothing",
    "/client/v3/accounts",
    `${ACCOUNT}/workers`,
    `${ACCOUNT}/workers/scripts/target/nothing`,
    `${ACCOUNT}/workers/scripts/target/versions/1/2`,
    `${ACCOUNT}/pages/projects`,
  ])("GET %s", async (path) => {
    expectRefusal(await raw("GET", path), { status: 404, code: 7003, says: [`GET ${path}`] });
  });

  test.each([
    ["GET", "workflows/one", /workflows/],
    ["POST", "d1/database/one/export", /exporting D1 databases/],
  ])("%s of %s, a feature that this release does not have, by its name", async (method, path, says) => {
    const reply = await changingNothing(() => raw(method, `${ACCOUNT}/${path}`));
    expectRefusal(reply, { code: 10021, says: [/does not support/, says, /remove|read/] });
  });

  test.each([
    ["DELETE", "workers/scripts/target"],
    ["PATCH", "workers/scripts/target"],
    ["POST", "workers/scripts/target"],
    ["DELETE", "workers/scripts/target/versions"],
    ["PUT", "workers/scripts/target/versions"],
    ["PATCH", "workers/scripts/target/versions/x"],
    ["DELETE", "workers/scripts/target/versions/x"],
    ["PUT", "workers/scripts/target/deployments"],
    ["DELETE", "workers/scripts/target/deployments/x"],
    ["POST", "workers/scripts/target/secrets"],
    ["POST", "workers/services/target"],
  ])("the method %s of %s", async (method, path) => {
    const reply = await changingNothing(() => raw(method, `${ACCOUNT}/${path}`));
    expectRefusal(reply, { status: 404, code: 7003, says: [`${method} `] });
  });

  test("a version, a deployment and a Worker that do not exist, each by its name", async () => {
    const version = await call(server, "GET", `${SCRIPT}/versions/${foreign}`);
    expectRefusal(version, { status: 404, says: [foreign, "target"] });
    const deployment = await call(server, "GET", `${SCRIPT}/deployments/${foreign}`);
    expectRefusal(deployment, { status: 404, says: [foreign, "target"] });
    for (const path of ["versions", "deployments", "secrets", "settings", "subdomain", "explain?key=k"]) {
      const reply = await call(server, "GET", `/workers/scripts/nobody/${path}`);
      expectRefusal(reply, { status: 404, code: 10007, says: ["nobody", "wrangler deploy"] });
    }
    const removal = await changingNothing(() => call(server, "DELETE", "/workers/services/nobody"));
    expectRefusal(removal, { status: 404, code: 10007, says: ["nobody"] });
  });

  test("an explanation without a key", async () => {
    expectRefusal(await call(server, "GET", `${SCRIPT}/explain`), { says: [/\?key=/] });
  });
});

test("a refusal reaches a client that is still sending its upload, as wrangler is", async () => {
  const lost: string[] = [];
  await changingNothing(async () => {
    for (const [why, status, path, token] of [
      ["a wrong token", 401, `/accounts/sluice${SCRIPT}`, "wrong"],
      ["an unknown account", 404, `/accounts/another${SCRIPT}`, "token-for-the-tests"],
      ["an invalid name", 400, "/accounts/sluice/workers/scripts/No", "token-for-the-tests"],
      [
        "no Worker of that name",
        404,
        "/accounts/sluice/workers/scripts/nobody/versions",
        "token-for-the-tests",
      ],
    ] as const) {
      for (const size of [100, 100_000, 5 * MiB]) {
        const method = path.endsWith("/versions") ? "POST" : "PUT";
        const modules = { "index.js": { content: "/".repeat(size) } };
        const init = { method, headers: { Authorization: `Bearer ${token}` }, body: uploadForm({ modules }) };
        await fetch(`${server.control}/client/v4${path}`, init).then(
          (response) => expect(response.status).toBe(status),
          (error) => lost.push(`${why}, ${size} bytes: ${error.cause ?? error}`),
        );
      }
    }
  });
  expect(lost).toEqual([]);
});

describe("a caller without the right token is refused and changes nothing:", () => {
  const attempt = async (method: string, path: string, headers: Record<string, string>) => {
    const { bytes, type } = await multipart();
    const typed = method === "PUT" ? { "Content-Type": type, "Content-Length": String(bytes.length) } : {};
    const body = method === "PUT" ? [Buffer.from(bytes)] : [];
    const all = { ...headers, ...typed };
    return readEnvelope(await sendCarefully(server.controlPort, method, `/client/v4${path}`, all, body));
  };

  test.each([
    ["no token", {}, /Authorization: Bearer/],
    ["a wrong token", { Authorization: "Bearer not-the-token" }, /not valid/],
    ["a prefix of the token", { Authorization: "Bearer token-for-the-test" }, /not valid/],
    ["more than the token", { Authorization: "Bearer token-for-the-tests2" }, /not valid/],
    ["the token in capitals", { Authorization: "Bearer TOKEN-FOR-THE-TESTS" }, /not valid/],
    ["an empty token", { Authorization: "Bearer " }, /Bearer <token>/],
    ["another scheme", { Authorization: "Basic dG9rZW4tZm9yLXRoZS10ZXN0cw==" }, /Bearer <token>/],
    [
      "an API key",
      { "X-Auth-Key": "token-for-the-tests", "X-Auth-Email": "a@b" },
      /API keys are not accepted/,
    ],
  ])("with %s", async (_, headers, says) => {
    await changingNothing(async () => {
      for (const [method, path] of [
        ["GET", "/user/tokens/verify"],
        ["GET", "/accounts"],
        ["GET", `/accounts/sluice${SCRIPT}/versions`],
        ["PUT", `/accounts/sluice${SCRIPT}`],
        ["PUT", "/accounts/sluice/workers/scripts/never"],
        ["DELETE", "/accounts/sluice/workers/services/target"],
        ["GET", "/accounts/another/workers/scripts/target/versions"],
        ["GET", "/nothing"],
      ] as const) {
        const reply = await attempt(method, path, headers as Record<string, string>);
        expectRefusal(reply, { status: 401, code: 10000, says: [/^Authentication error: /, says] });
      }
    });
  });

  test("and no response contains the token", async () => {
    const reply = await attempt("GET", "/user", { Authorization: "Bearer not-the-token" });
    expect(JSON.stringify(reply)).not.toMatch(/token-for-the-tests|not-the-token/);
  });
});
