/** Files of several versions: how they are uploaded, how long they are kept, and who gets them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  assetFile,
  type Files,
  openSession,
  sendFiles,
  uploadAssets,
  withAssets,
} from "../../support/assets.ts";
import { call, createDeployment, deploy, IS_SPLIT, uploadForm, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { storedValues } from "../../support/stored.ts";
import { send } from "../helpers.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

const get = (worker: string, path: string, headers: Record<string, string> = {}) =>
  send({ port: server.trafficPort, host: `${worker}.localhost`, path, headers });
const text = async (worker: string, path: string, headers?: Record<string, string>) => {
  const { status, body } = await get(worker, path, headers);
  return `${status} ${body}`;
};

describe("files of another version", () => {
  const build = (name: string): Files => ({
    "/index.html": `<script src="/assets/index-${name}.js"></script>`,
    [`/assets/index-${name}.js`]: `run("${name}")`,
    "/plain.js": `plain("${name}")`,
  });
  const [A, B, C] = ["Aaaa1111", "Bbbb2222", "Cccc3333"] as const;
  const file = (name: string) => `/assets/index-${name}.js`;
  const found = async (worker: string, name: string, headers?: Record<string, string>) =>
    (await get(worker, file(name), headers)).status === 200;

  test("are served while both versions are in the deployment, but only under names with a content hash", async () => {
    const a = await deploy(server, "pair", await withAssets(server, "pair", build(A)));
    const b = await uploadVersion(server, "pair", await withAssets(server, "pair", build(B)));
    expect(await found("pair", B)).toBe(false);
    await createDeployment(server, "pair", [
      [a, 50],
      [b, 50],
    ]);
    const override = (id: string) => ({ "Cloudflare-Workers-Version-Overrides": `pair="${id}"` });
    for (const id of [a, b]) {
      for (const name of [A, B]) expect(await found("pair", name, override(id))).toBe(true);
    }
    expect((await get("pair", "/plain.js", override(a))).body.toString()).toBe(`plain("${A}")`);
    expect((await get("pair", "/plain.js", override(b))).body.toString()).toBe(`plain("${B}")`);
  });

  test("are still served after their version has left the deployment, also after a rollback", async () => {
    const a = await deploy(server, "later", await withAssets(server, "later", build(A)));
    const b = await deploy(server, "later", await withAssets(server, "later", build(B)));
    expect([await found("later", A), await found("later", B)]).toEqual([true, true]);
    await createDeployment(server, "later", [[a, 100]]);
    expect([await found("later", A), await found("later", B)]).toEqual([true, true]);
    await deploy(server, "later", await withAssets(server, "later", build(C)));
    expect([await found("later", A), await found("later", B), await found("later", C)]).toEqual([
      true,
      true,
      true,
    ]);
    void b;
  });

  test("are removed when the Worker's retention says so", async () => {
    for (const name of [A, B, C])
      await deploy(server, "brief", await withAssets(server, "brief", build(name)));
    const retain = (retention: object) =>
      call(server, "PATCH", "/workers/scripts/brief/options", { retention });
    expect((await retain({ versions: IS_SPLIT ? 4 : 2, hours: 0 })).errors).toEqual([]);
    expect([await found("brief", A), await found("brief", B), await found("brief", C)]).toEqual([
      false,
      true,
      true,
    ]);
    await retain({ versions: 0, hours: 0 });
    expect([await found("brief", A), await found("brief", B), await found("brief", C)]).toEqual([
      false,
      false,
      true,
    ]);
    await retain({ versions: 0, hours: 1 });
    expect([await found("brief", A), await found("brief", B), await found("brief", C)]).toEqual([
      true,
      true,
      true,
    ]);
    expect((await retain({ versions: -1, hours: 1 })).status).toBe(400);
  });

  test("are served with the headers of their own version", async () => {
    const config = { _headers: "/assets/*\n  X-From: A" };
    const a = await deploy(server, "whose", await withAssets(server, "whose", build(A), { config }));
    const b = await uploadVersion(server, "whose", await withAssets(server, "whose", build(B)));
    await createDeployment(server, "whose", [
      [a, 0],
      [b, 100],
    ]);
    const answer = await get("whose", file(A));
    expect([answer.status, answer.headers["x-from"]]).toEqual([200, "A"]);
  });

  test("can be fetched by the code too", async () => {
    const code = "export default { fetch: (request, env) => env.ASSETS.fetch(request) };";
    const first = { code, config: { run_worker_first: true } };
    const a = await deploy(server, "asking", await withAssets(server, "asking", build(A), first));
    const b = await uploadVersion(server, "asking", await withAssets(server, "asking", build(B), first));
    await createDeployment(server, "asking", [
      [a, 50],
      [b, 50],
    ]);
    for (let i = 0; i < 10; i++)
      expect([await found("asking", A), await found("asking", B)]).toEqual([true, true]);
  });

  test("that were behind code are never served without it", async () => {
    const code = "export default { fetch: () => new Response('log in', { status: 401 }) };";
    const guarded = { code, config: { run_worker_first: true } };
    await deploy(server, "gate", await withAssets(server, "gate", build(A), guarded));
    expect((await get("gate", file(A))).status).toBe(401);
    await deploy(server, "gate", await withAssets(server, "gate", build(B)));
    expect((await get("gate", file(B))).status).toBe(200);
    expect((await get("gate", file(A))).status).toBe(404);
  });

  test("do not override a redirect of the version that serves", async () => {
    await deploy(server, "moved", await withAssets(server, "moved", build(A)));
    const config = { _redirects: `${file(A)} /plain.js 301` };
    await deploy(server, "moved", await withAssets(server, "moved", build(B), { config }));
    const { status, headers } = await get("moved", file(A));
    expect([status, headers.location]).toEqual([301, "/plain.js"]);
  });

  test("come from the version that a URL is pinned to, or from the deployment where that version is not retained", async () => {
    const a = await deploy(server, "pinned", await withAssets(server, "pinned", build(A)));
    const b = await deploy(server, "pinned", await withAssets(server, "pinned", build(B)));
    const never = await uploadVersion(server, "pinned", await withAssets(server, "pinned", build(C)));
    const plain = async (id: string) => (await get("pinned", `/plain.js?dpl=${id}`)).body.toString();
    expect(await plain(a)).toBe(`plain("${A}")`);
    expect(await plain(b)).toBe(`plain("${B}")`);
    expect(await plain(never)).toBe(`plain("${B}")`);
    expect(await plain("00000000-0000-4000-8000-000000000000")).toBe(`plain("${B}")`);
    await call(server, "PATCH", "/workers/scripts/pinned/options", { retention: { versions: 0, hours: 0 } });
    expect(await plain(a)).toBe(`plain("${B}")`);
  });
});

describe("an upload of assets", () => {
  const files: Files = { "/a.txt": "a", "/b.txt": "b" };
  const [a, b] = [assetFile("/a.txt", "a"), assetFile("/b.txt", "b")];
  const put = (worker: string, jwt: string) =>
    call(
      server,
      "PUT",
      `/workers/scripts/${worker}`,
      uploadForm({ metadata: { main_module: undefined, assets: { jwt } } }),
    );

  test("asks only for files that are not stored yet, by any version", async () => {
    const opened = await openSession(server, "lazy", files);
    expect(opened.result.buckets).toEqual([[a.hash, b.hash]]);
    await uploadAssets(server, "lazy", files);
    const again = await openSession(server, "lazy", { ...files, "/c.txt": "c" });
    expect(again.result.buckets).toEqual([[assetFile("/c.txt", "c").hash]]);
    const nothing = await openSession(server, "lazy", files);
    expect(nothing.result.buckets).toEqual([]);
    expect((await put("lazy", nothing.result.jwt)).errors).toEqual([]);
    expect(await text("lazy", "/a.txt")).toBe("200 a");
  });

  test("is complete with its last file, and makes no version before that", async () => {
    const { jwt } = (await openSession(server, "partly", files)).result;
    const first = await sendFiles(server, jwt, [a]);
    expect([first.status, first.result]).toEqual([202, {}]);
    const early = await put("partly", jwt);
    expect([early.status, early.errors[0]?.message]).toEqual([
      400,
      expect.stringContaining("1 of the files were not uploaded"),
    ]);
    const last = await sendFiles(server, jwt, [b]);
    expect([last.status, last.result]).toEqual([201, { jwt: expect.any(String) }]);
    expect((await put("partly", last.result.jwt)).errors).toEqual([]);
  });

  test("accepts a single file that is not encoded", async () => {
    const { jwt } = (await openSession(server, "single", { "/a.txt": "a" })).result;
    const url = `${server.control}/client/v4/accounts/sluice/workers/assets/upload/${a.hash}`;
    const headers = { Authorization: `Bearer ${jwt}`, "Content-Type": "text/plain; charset=utf-8" };
    const answer = await fetch(url, { method: "POST", body: "a", headers });
    const { result } = await answer.json();
    expect((await put("single", result.jwt)).errors).toEqual([]);
    expect(await text("single", "/a.txt")).toBe("200 a");
  });

  test("refuses files that it did not announce, and tokens of other uploads", async () => {
    const { jwt } = (await openSession(server, "careful", files)).result;
    const other = (await openSession(server, "other", files)).result.jwt;
    for (const [token, sent, status] of [
      [jwt, { ...a, hash: "0".repeat(32) }, 400],
      [jwt, { ...a, bytes: Buffer.from("longer") }, 400],
      ["nonsense", a, 401],
      [`${jwt}x`, a, 401],
      ["", a, 401],
    ] as const) {
      expect((await sendFiles(server, token, [sent])).status).toBe(status);
    }
    const [header = "", , signature = ""] = jwt.split(".");
    const forged = Buffer.from(JSON.stringify({ purpose: "assets", worker: "careful", id: "x", exp: 9e9 }));
    expect(
      (await sendFiles(server, [header, forged.toString("base64url"), signature].join("."), [a])).status,
    ).toBe(401);
    expect((await put("careful", other)).status).toBe(401);
    for (const manifest of [
      { "a.txt": { hash: a.hash, size: 1 } },
      { "/a": { hash: "x", size: 1 } },
      { "/a": { hash: a.hash, size: 26 * 1024 * 1024 } },
    ]) {
      expect(
        (await call(server, "POST", "/workers/scripts/careful/assets-upload-session", { manifest })).status,
      ).toBe(400);
    }
  });

  test("is refused with the line of _headers or _redirects that is wrong, and makes no version", async () => {
    const jwt = await uploadAssets(server, "ruled", files);
    for (const [config, why] of [
      [{ _headers: "X-A: b" }, "in _headers, line 1"],
      [{ _redirects: "/a /b\n/a /c" }, "in _redirects, line 2"],
      [{ run_worker_first: ["!/a"] }, "in run_worker_first"],
      [{ html_handling: "other" }, "html_handling"],
      [{ base_path: "a" }, "base_path"],
    ] as const) {
      const metadata = { main_module: undefined, assets: { jwt, config } };
      const reply = await call(server, "PUT", "/workers/scripts/ruled", uploadForm({ metadata }));
      expect([reply.status, reply.errors[0]?.message], why).toEqual([400, expect.stringContaining(why)]);
    }
    expect(await text("ruled", "/a.txt")).toContain("404");
    const unbound = {
      modules: { "index.js": { content: "export default {}" } },
      metadata: { bindings: [{ type: "assets", name: "A" }] },
    };
    expect(
      (await call(server, "PUT", "/workers/scripts/ruled", uploadForm(unbound))).errors[0]?.message,
    ).toContain("no assets");
  });

  test("survives a crash of the server between two files, and is deleted with its Worker", async () => {
    const own = await startServer();
    try {
      const { jwt } = (await openSession(own, "gone", files)).result;
      await sendFiles(own, jwt, [a]);
      own.process.kill("SIGKILL");
      await waitUntil(() => own.process.signalCode !== null);
      const again = await startServer({ like: own });
      const last = await sendFiles(again, jwt, [b]);
      const metadata = { main_module: undefined, assets: { jwt: last.result.jwt } };
      expect((await call(again, "PUT", "/workers/scripts/gone", uploadForm({ metadata }))).errors).toEqual(
        [],
      );
      expect(storedValues(again).length).toBeGreaterThan(3);
      await call(again, "DELETE", "/workers/services/gone?force=true");
      // What is left: the table of routes, without one.
      await waitUntil(() => storedValues(again).length === 1);
      await again.stop();
    } finally {
      await disposeServer(own);
    }
  });
});
