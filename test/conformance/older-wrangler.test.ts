/**
 * What wrangler 4.125 sends differently from 4.164. Its binary cannot be in the tree beside the other one (each brings
 * a workerd), so its requests are made here as they were seen on the wire.
 */
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
import { disposeServer, type Server, startServer } from "../support/server.ts";
import { activeSplit, ENV_WORKER, expectNotServed, leavesAlone, textOf, versionsOf } from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

/** A call as wrangler 4.125 makes it. */
async function as4125(
  method: string,
  path: string,
  body?: BodyInit,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const init: RequestInit = { headers: { "User-Agent": "wrangler/4.125.0", ...headers } };
  return readEnvelope(await server.api(method, path, body === undefined ? init : { ...init, body }));
}

const JSON_TYPE = { "Content-Type": "application/json" };
/** What `fetch` says of a body without a type: wrangler sends some JSON like this. */
const TEXT_TYPE = { "Content-Type": "text/plain;charset=UTF-8" };

function envUpload(bindings: readonly object[], metadata: Record<string, unknown> = {}): FormData {
  return uploadForm({
    modules: { "index.js": { content: ENV_WORKER } },
    metadata: { bindings, ...metadata },
  });
}

describe("deploy", () => {
  test("of a new Worker: the calls of 4.125 in its order create it, deploy it and switch it on", async () => {
    const script = "/workers/scripts/first";
    const unknown = await as4125("GET", "/workers/services/first");
    expect(unknown).toMatchObject({ status: 404, errors: [{ code: 10007 }] });
    const label = await as4125("GET", "/workers/subdomain");
    expect(label.result).toEqual({ subdomain: expect.stringMatching(/^[a-z0-9-]+$/) });
    expect(await as4125("GET", `${script}/deployments`)).toMatchObject({ errors: [{ code: 10007 }] });

    const put = await as4125("PUT", `${script}?excludeScript=true&bindings_inherit=strict`, envUpload([]));
    expect(put.result).toMatchObject({ id: "first", startup_time_ms: expect.any(Number) });
    const off = await as4125("GET", `${script}/subdomain`);
    expect(off.result).toEqual({ enabled: expect.any(Boolean), previews_enabled: expect.any(Boolean) });
    const on = await as4125("POST", `${script}/subdomain`, '{"enabled":true}', {
      ...JSON_TYPE,
      "Cloudflare-Workers-Script-Api-Date": "2025-08-01",
    });
    expect(on.result).toEqual({ enabled: true, previews_enabled: true });

    expect(await textOf(server, "first")).toBe("{}");
    expect(await activeSplit(server, "first")).toEqual([[put.result.deployment_id, 100]]);
  });

  test("metadata without keep_bindings keeps every secret, on the version path and on the script path", async () => {
    const script = "/workers/scripts/keeper";
    await deploy(server, "keeper", answering("keeper"));
    await call(server, "PUT", `${script}/secrets`, { name: "S", text: "kept" });

    const version = await as4125("POST", `${script}/versions?bindings_inherit=strict`, envUpload([]));
    expect(version.errors).toEqual([]);
    await createDeployment(server, "keeper", [[version.result.id, 100]]);
    expect(JSON.parse(await textOf(server, "keeper"))).toEqual({ S: "kept" });

    const variable = { type: "plain_text", name: "V", text: "v" };
    await as4125("PUT", `${script}?excludeScript=true&bindings_inherit=strict`, envUpload([variable]));
    expect(JSON.parse(await textOf(server, "keeper"))).toEqual({ S: "kept", V: "v" });

    await as4125("PUT", script, envUpload([], { keep_bindings: [] }));
    expect(JSON.parse(await textOf(server, "keeper"))).toEqual({ S: "kept" });
  });

  test("versions uploaded with its keep_bindings for secrets inherit secrets and drop variables", async () => {
    const script = "/workers/scripts/upload-keeper";
    await deploy(server, "upload-keeper", {
      ...answering("one"),
      metadata: {
        bindings: [
          { type: "plain_text", name: "V", text: "v" },
          { type: "secret_text", name: "S", text: "s" },
        ],
      },
    });
    const upload = envUpload([], { keep_bindings: ["secret_text", "secret_key"], annotations: {} });
    const version = await as4125("POST", `${script}/versions?bindings_inherit=strict`, upload);
    expect(version.result.resources.bindings).toEqual([{ type: "secret_text", name: "S" }]);
    expect(version.result.metadata.has_preview).toBe(true);
  });
});

describe("deployments", () => {
  test("a deployment without code_update_strategy is made like one that has it", async () => {
    const a = await deploy(server, "strategy", answering("a"));
    const b = await uploadVersion(server, "strategy", answering("b"));
    const share = (version_id: string, percentage: number) => ({ version_id, percentage });
    const body = {
      strategy: "percentage",
      versions: [share(a, 0), share(b, 100)],
      annotations: { "workers/message": "" },
    };

    const path = "/workers/scripts/strategy/deployments";
    const plain = await as4125("POST", path, JSON.stringify(body), JSON_TYPE);
    expect(plain.result).toMatchObject({
      id: expect.any(String),
      source: "wrangler",
      versions: body.versions,
    });
    expect(plain.result.annotations).not.toHaveProperty("workers/message");
    expect(await textOf(server, "strategy")).toBe("b");

    const newer = { ...body, code_update_strategy: { mode: "deferred", max_delay: 300 } };
    const deferred = await as4125("POST", path, JSON.stringify(newer), JSON_TYPE);
    expect(deferred.result).toMatchObject({ versions: body.versions });
  });

  test("?force=true, which rollback adds after a question, is accepted", async () => {
    const a = await deploy(server, "forced", answering("a"));
    await deploy(server, "forced", answering("b"));
    const body = { strategy: "percentage", versions: [{ version_id: a, percentage: 100 }] };
    const path = "/workers/scripts/forced/deployments?force=true";
    expect((await as4125("POST", path, JSON.stringify(body), JSON_TYPE)).errors).toEqual([]);
    expect(await textOf(server, "forced")).toBe("a");
  });
});

test("versions of the plain list carry their bindings, newest first: `versions secret list --latest-version` reads them", async () => {
  await deploy(server, "list", answering("one"));
  const secret = { type: "secret_text", name: "S", text: "s" };
  const latest = await uploadVersion(server, "list", {
    ...answering("two"),
    metadata: { bindings: [secret] },
  });
  const { result } = await as4125("GET", "/workers/scripts/list/versions");
  expect(result.items[0]).toMatchObject({
    id: latest,
    resources: { bindings: [{ type: "secret_text", name: "S" }] },
  });
});

describe("workers.dev", () => {
  test("GET and POST of scripts/{name}/subdomain read and set whether the Worker is served", async () => {
    await deploy(server, "switch", answering("on"));
    const path = "/workers/scripts/switch/subdomain";
    expect((await as4125("GET", path)).result).toEqual({ enabled: true, previews_enabled: true });

    const body = '{"enabled":false,"previews_enabled":false}';
    expect((await as4125("POST", path, body, JSON_TYPE)).result).toEqual({
      enabled: false,
      previews_enabled: false,
    });
    expect((await as4125("GET", path)).result.enabled).toBe(false);
    await expectNotServed(server, "switch");

    await as4125("POST", path, '{"enabled":true}', JSON_TYPE);
    expect(await textOf(server, "switch")).toBe("on");
  });

  test("of a Worker that does not exist is answered with 10007, and makes none", async () => {
    const path = "/workers/scripts/nobody/subdomain";
    expect(await as4125("GET", path)).toMatchObject({ status: 404, errors: [{ code: 10007 }] });
    const reply = await as4125("POST", path, '{"enabled":true}', JSON_TYPE);
    expect(reply).toMatchObject({ status: 404, errors: [{ code: 10007 }] });
  });
});

describe("a JSON body is read whatever its Content-Type says", () => {
  test.each([
    ["text/plain;charset=UTF-8", TEXT_TYPE],
    ["application/merge-patch+json", { "Content-Type": "application/merge-patch+json" }],
    ["application/octet-stream", { "Content-Type": "application/octet-stream" }],
  ])("%s", async (type, headers) => {
    const worker = `typed-${type.replaceAll(/\W+/g, "-").toLowerCase()}`;
    const id = await deploy(server, worker, {
      modules: { "index.js": { content: ENV_WORKER } },
    });
    const script = `/workers/scripts/${worker}`;
    const deployment = JSON.stringify({
      strategy: "percentage",
      versions: [{ version_id: id, percentage: 100 }],
    });

    const replies = [
      await as4125("POST", `${script}/deployments`, deployment, headers),
      await as4125("PUT", `${script}/secrets`, '{"name":"A","text":"a","type":"secret_text"}', headers),
      await as4125("PATCH", `${script}/secrets-bulk`, '{"secrets":{"B":{"name":"B","text":"b"}}}', headers),
      await as4125("PATCH", `${script}/script-settings`, '{"tags":["t"]}', headers),
      await as4125("POST", `${script}/subdomain`, '{"enabled":true}', headers),
      await as4125("PUT", `${script}/schedules`, "[]", headers),
      await as4125(
        "PATCH",
        `/workers/workers/${worker}/versions/latest`,
        '{"env":{"C":{"type":"secret_text","text":"c"}}}',
        headers,
      ),
    ];

    expect(replies.flatMap(({ errors }) => errors)).toEqual([]);
    expect(JSON.parse(await textOf(server, worker))).toEqual({ A: "a", B: "b" });
    const [latest] = await versionsOf(server, worker);
    expect(latest.resources.bindings.map((binding: { name: string }) => binding.name)).toEqual([
      "A",
      "B",
      "C",
    ]);
  });

  test("and one that is not JSON is refused in the envelope, and changes nothing", async () => {
    await deploy(server, "not-json", answering("one"));
    await leavesAlone(server, "not-json", async () => {
      const reply = await as4125("POST", "/workers/scripts/not-json/deployments", "{,}", TEXT_TYPE);
      expect(reply.status).toBe(400);
      expect(reply.errors[0]?.message).toContain("it is not JSON");
    });
  });
});

describe("who asks", () => {
  const path = () => `${server.control}/client/v4/accounts/sluice/workers/scripts/x/versions`;

  test("X-Auth-Key with X-Auth-Email is refused with code 10000 and the way to a token", async () => {
    const response = await fetch(path(), {
      headers: { "X-Auth-Key": "0123456789", "X-Auth-Email": "a@example.com" },
    });
    const reply = await readEnvelope(response);
    expect(reply.status).toBe(401);
    expect(reply.errors).toEqual([
      { code: 10000, message: expect.stringContaining("API keys are not accepted") },
    ]);
  });

  test.each([
    ["no credentials", {}],
    ["another scheme", { Authorization: "Basic dG9rZW4tZm9yLXRoZS10ZXN0cw==" }],
    ["an empty token", { Authorization: "Bearer " }],
  ])("so is %s, before the path is looked at", async (_, headers) => {
    for (const url of [path(), `${server.control}/client/v4/nowhere`]) {
      const reply = await readEnvelope(await fetch(url, { headers }));
      expect(reply).toMatchObject({ status: 401, errors: [{ code: 10000 }], result: null });
    }
  });
});
