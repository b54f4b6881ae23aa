import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  assetFile,
  type Files,
  openSession,
  sendFiles,
  uploadAssets,
  withAssets,
} from "../support/assets.ts";
import { call, createDeployment, deploy, IS_SPLIT, uploadForm, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../support/server.ts";
import { send } from "./helpers.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

const SITE: Files = {
  "/index.html": "<h1>home</h1>",
  "/404.html": "<h1>lost</h1>",
  "/about/index.html": "<h1>about</h1>",
  "/contact.html": "<h1>contact</h1>",
  "/app.js": "app()",
  "/ü b.txt": "umlaut",
  "/nested/404.html": "<h1>lost below</h1>",
};

const get = (worker: string, path: string, headers: Record<string, string> = {}) =>
  send({ port: server.trafficPort, host: `${worker}.localhost`, path, headers });
const text = async (worker: string, path: string, headers?: Record<string, string>) => {
  const { status, body } = await get(worker, path, headers);
  return `${status} ${body}`;
};

describe("a Worker without code", () => {
  test("serves its files under the addresses that people expect, and sends them there from others", async () => {
    await deploy(server, "pages", await withAssets(server, "pages", SITE));
    expect(await text("pages", "/")).toBe("200 <h1>home</h1>");
    expect(await text("pages", "/about/")).toBe("200 <h1>about</h1>");
    expect(await text("pages", "/contact")).toBe("200 <h1>contact</h1>");
    expect(await text("pages", "/%C3%BC%20b.txt")).toBe("200 umlaut");
    for (const [from, to] of [
      ["/index.html", "/"],
      ["/about", "/about/"],
      ["/about/index.html?q=1", "/about/?q=1"],
      ["/contact.html", "/contact"],
    ] as const) {
      const { status, headers } = await get("pages", from);
      expect([status, headers.location], from).toEqual([307, to]);
    }
  });

  test("says the type, the length and the ETag of a file, and does not send again what a browser has", async () => {
    const file = await get("pages", "/app.js");
    const etag = `"${assetFile("/app.js", "app()").hash}"`;
    expect(file.headers).toMatchObject({
      "content-type": "text/javascript; charset=utf-8",
      "content-length": "5",
      "cache-control": "public, max-age=0, must-revalidate",
      "accept-ranges": "bytes",
      etag,
    });
    const again = await get("pages", "/app.js", { "If-None-Match": etag });
    expect([again.status, again.body.length]).toEqual([304, 0]);
    const head = await send({
      port: server.trafficPort,
      host: "pages.localhost",
      method: "HEAD",
      path: "/app.js",
    });
    expect([head.status, head.body.length, head.headers.etag]).toEqual([200, 0, etag]);
  });

  test("sends the range that is asked for, where it is one of the file", async () => {
    const etag = `"${assetFile("/app.js", "app()").hash}"`;
    for (const [range, status, body, where] of [
      ["bytes=0-1", 206, "ap", "bytes 0-1/5"],
      ["bytes=3-", 206, "()", "bytes 3-4/5"],
      ["bytes=-2", 206, "()", "bytes 3-4/5"],
      ["bytes=0-99", 206, "app()", "bytes 0-4/5"],
      ["bytes=9-", 416, "", "bytes */5"],
      ["bytes=0-0,2-2", 200, "app()", undefined],
      ["lines=1-2", 200, "app()", undefined],
      ["bytes=x", 200, "app()", undefined],
    ] as const) {
      const answer = await get("pages", "/app.js", { Range: range });
      expect([answer.status, answer.body.toString(), answer.headers["content-range"]], range).toEqual([
        status,
        body,
        where,
      ]);
    }
    const same = await get("pages", "/app.js", { Range: "bytes=0-1", "If-Range": etag });
    const other = await get("pages", "/app.js", { Range: "bytes=0-1", "If-Range": '"other"' });
    expect([same.status, other.status]).toEqual([206, 200]);
  });

  test("refuses methods that files have not, and has no page for what is not there", async () => {
    const post = await send({
      port: server.trafficPort,
      host: "pages.localhost",
      method: "POST",
      path: "/app.js",
    });
    expect(post.status).toBe(405);
    expect(await text("pages", "/nowhere")).toBe("404 ");
  });
});

describe("the configuration of assets", () => {
  const answers = async (worker: string, config: object, paths: readonly string[]) => {
    await deploy(server, worker, await withAssets(server, worker, SITE, { config }));
    const found: Record<string, string> = {};
    for (const path of paths) {
      const { status, headers, body } = await get(worker, path);
      found[path] = `${status} ${headers.location ?? body}`;
    }
    return found;
  };

  test("chooses among the ways of naming pages", async () => {
    const paths = ["/about", "/about/", "/contact", "/contact/"];
    expect(await answers("html-force", { html_handling: "force-trailing-slash" }, paths)).toEqual({
      "/about": "307 /about/",
      "/about/": "200 <h1>about</h1>",
      "/contact": "307 /contact/",
      "/contact/": "200 <h1>contact</h1>",
    });
    expect(await answers("html-drop", { html_handling: "drop-trailing-slash" }, paths)).toEqual({
      "/about": "200 <h1>about</h1>",
      "/about/": "307 /about",
      "/contact": "200 <h1>contact</h1>",
      "/contact/": "307 /contact",
    });
    expect(
      await answers("html-none", { html_handling: "none" }, ["/about", "/contact", "/contact.html"]),
    ).toEqual({
      "/about": "404 ",
      "/contact": "404 ",
      "/contact.html": "200 <h1>contact</h1>",
    });
  });

  test("chooses what takes the place of a missing page", async () => {
    expect(await answers("lost-page", { not_found_handling: "404-page" }, ["/x", "/nested/x"])).toEqual({
      "/x": "404 <h1>lost</h1>",
      "/nested/x": "404 <h1>lost below</h1>",
    });
    const spa = { not_found_handling: "single-page-application" };
    expect(await answers("lost-spa", spa, ["/x", "/deep/er", "/app.js"])).toEqual({
      "/x": "200 <h1>home</h1>",
      "/deep/er": "200 <h1>home</h1>",
      "/app.js": "200 app()",
    });
  });

  test("never gives a page for a file that is called by its content", async () => {
    for (const handling of ["single-page-application", "404-page"]) {
      const worker = `strict-${handling.slice(0, 6)}`;
      await deploy(
        server,
        worker,
        await withAssets(server, worker, SITE, { config: { not_found_handling: handling } }),
      );
      const { status, headers, body } = await get(worker, "/assets/index-DiwrgTda.js");
      expect([status, headers["cache-control"], body.length]).toEqual([404, "no-store", 0]);
    }
  });

  test("has headers and redirects from the files that are named so", async () => {
    const config = {
      _headers: "/*\n  X-All: yes\n/app.js\n  ! X-All\n  Cache-Control: public, max-age=1",
      _redirects: "/old /about/ 301\n/docs/* /contact 302\n/alias /app.js 200",
    };
    await deploy(server, "rules", await withAssets(server, "rules", SITE, { config }));
    expect((await get("rules", "/")).headers["x-all"]).toBe("yes");
    const file = await get("rules", "/app.js");
    expect([file.headers["x-all"], file.headers["cache-control"]]).toEqual([undefined, "public, max-age=1"]);
    for (const [path, status, location] of [
      ["/old?a=b", 301, "/about/?a=b"],
      ["/docs/x/y", 302, "/contact"],
    ] as const) {
      const { headers, ...answer } = await get("rules", path);
      expect([answer.status, headers.location]).toEqual([status, location]);
    }
    expect(await text("rules", "/alias")).toBe("200 app()");
  });
});

describe("a Worker with code and files", () => {
  const CODE = `export default { async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/api/") || pathname === "/app.js") return new Response("code " + pathname);
    if (pathname === "/through") return env.ASSETS.fetch(new URL("/contact", request.url));
    return new Response("code, then " + (await env.ASSETS.fetch(request)).status);
  } };`;

  test("serves a file that is there, and asks the code for the rest", async () => {
    await deploy(server, "full", await withAssets(server, "full", SITE, { code: CODE }));
    expect(await text("full", "/")).toBe("200 <h1>home</h1>");
    expect(await text("full", "/app.js")).toBe("200 app()");
    expect(await text("full", "/api/x")).toBe("200 code /api/x");
    expect(await text("full", "/through")).toBe("200 <h1>contact</h1>");
    expect(await text("full", "/nowhere")).toBe("200 code, then 404");
    expect(await text("full", "/assets/index-DiwrgTda.js")).toBe("200 code, then 404");
  });

  test("asks the code first where it is told to, for everything or for what rules say", async () => {
    const first = { run_worker_first: true };
    await deploy(server, "first", await withAssets(server, "first", SITE, { code: CODE, config: first }));
    expect(await text("first", "/app.js")).toBe("200 code /app.js");
    expect(await text("first", "/")).toBe("200 code, then 200");
    const rules = { run_worker_first: ["/app*", "!/app2.js"], not_found_handling: "single-page-application" };
    await deploy(server, "rule", await withAssets(server, "rule", SITE, { code: CODE, config: rules }));
    expect(await text("rule", "/app.js")).toBe("200 code /app.js");
    expect(await text("rule", "/")).toBe("200 <h1>home</h1>");
  });

  test("asks the code for what only a navigation gets a page for, whoever came first", async () => {
    const config = { not_found_handling: "single-page-application" };
    await deploy(server, "app", await withAssets(server, "app", SITE, { code: CODE, config }));
    for (let i = 0; i < 2; i++) {
      expect(await text("app", "/api/users", { "Sec-Fetch-Mode": "navigate" })).toBe("200 <h1>home</h1>");
      expect(await text("app", "/api/users")).toBe("200 code /api/users");
      expect(await text("app", "/page")).toBe("200 code, then 200");
    }
  });

  test("has its files below its base path, however that is written, and refuses one that could not be", async () => {
    for (const [worker, base_path] of [
      ["based", "/app"],
      ["slashed", "/app/"],
    ] as const) {
      await deploy(
        server,
        worker,
        await withAssets(server, worker, SITE, { code: CODE, config: { base_path } }),
      );
      expect(await text(worker, "/app/app.js")).toBe("200 app()");
      expect(await text(worker, "/app/")).toBe("200 <h1>home</h1>");
      expect((await get(worker, "/app")).headers.location).toBe("/app/");
      expect(await text(worker, "/app.js")).toBe("200 code /app.js");
    }
    const upload = await withAssets(server, "baseless", SITE, { code: CODE, config: { base_path: "//x" } });
    expect((await call(server, "PUT", "/workers/scripts/baseless", uploadForm(upload))).status).toBe(400);
  });

  test("is the same to another Worker that is bound to it", async () => {
    await deploy(server, "bound", await withAssets(server, "bound", SITE, { code: CODE }));
    await deploy(server, "bound-folder", await withAssets(server, "bound-folder", SITE));
    await deploy(server, "caller", {
      modules: {
        "index.js": {
          content: `export default { async fetch(request, env) {
            const ask = async (to, path) => (await to.fetch("http://any" + path)).text();
            return Response.json([await ask(env.FULL, "/app.js"), await ask(env.FULL, "/api/x"), await ask(env.FOLDER, "/contact")]);
          } };`,
        },
      },
      metadata: {
        bindings: [
          { type: "service", name: "FULL", service: "bound" },
          { type: "service", name: "FOLDER", service: "bound-folder" },
        ],
      },
    });
    const { body } = await get("caller", "/");
    expect(JSON.parse(body.toString())).toEqual(["app()", "code /api/x", "<h1>contact</h1>"]);
  });

  test("keeps the files of its parent where only a secret has changed", async () => {
    const upload = await withAssets(server, "secretive", SITE, { code: CODE });
    await deploy(server, "secretive", upload);
    await call(server, "PUT", "/workers/scripts/secretive/secrets", {
      name: "S",
      text: "1",
      type: "secret_text",
    });
    expect(await text("secretive", "/")).toBe("200 <h1>home</h1>");
    const patched = await call(server, "PATCH", "/workers/workers/secretive/versions/latest", {
      env: { S: { type: "secret_text", text: "2" } },
    });
    await createDeployment(server, "secretive", [[patched.result.id, 100]]);
    expect(await text("secretive", "/app.js")).toBe("200 app()");
    expect(await text("secretive", "/through")).toBe("200 <h1>contact</h1>");
    const preview = await send({
      port: server.trafficPort,
      host: `${patched.result.id.slice(0, 8)}-secretive.localhost`,
    });
    expect(preview.body.toString()).toBe("<h1>home</h1>");
  });

  test("has the files of its own version, from two traffic processes as well", async () => {
    const several = await useServer({ args: ["--processes", "2"] });
    const ask = async (path: string) =>
      (await send({ port: several.trafficPort, host: "full.localhost", path })).body.toString();
    await deploy(several, "full", await withAssets(several, "full", SITE, { code: CODE }));
    for (let i = 0; i < 8; i++)
      expect([await ask("/"), await ask("/through")]).toEqual(["<h1>home</h1>", "<h1>contact</h1>"]);
    const big = { "/big.txt": Buffer.alloc(3 * 1024 * 1024, "x") };
    await deploy(several, "full", await withAssets(several, "full", { ...SITE, ...big }, { code: CODE }));
    const answer = await send({ port: several.trafficPort, host: "full.localhost", path: "/big.txt" });
    expect([answer.headers["content-length"], answer.body.length]).toEqual(["3145728", 3 * 1024 * 1024]);
    expect(answer.headers["content-type"]).toBe("text/plain; charset=utf-8");
  });
});

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

  test("are served while both are in the deployment, in both directions, and never another one's for an ordinary name", async () => {
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

  test("stay when their version has left the deployment, and a rollback finds those of what it leaves", async () => {
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

  test("are gone as the Worker's retention says", async () => {
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

  test("are served with what their own version says of them", async () => {
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

  test("are reached by code that asks for them as well", async () => {
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

  test("that code stood in front of are not given out without it", async () => {
    const code = "export default { fetch: () => new Response('log in', { status: 401 }) };";
    const guarded = { code, config: { run_worker_first: true } };
    await deploy(server, "gate", await withAssets(server, "gate", build(A), guarded));
    expect((await get("gate", file(A))).status).toBe(401);
    await deploy(server, "gate", await withAssets(server, "gate", build(B)));
    expect((await get("gate", file(B))).status).toBe(200);
    expect((await get("gate", file(A))).status).toBe(404);
  });

  test("do not take the place of what the version redirects", async () => {
    await deploy(server, "moved", await withAssets(server, "moved", build(A)));
    const config = { _redirects: `${file(A)} /plain.js 301` };
    await deploy(server, "moved", await withAssets(server, "moved", build(B), { config }));
    const { status, headers } = await get("moved", file(A));
    expect([status, headers.location]).toEqual([301, "/plain.js"]);
  });

  test("come from the version that an address is pinned to, and from the deployment where it is not retained", async () => {
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

  test("asks only for what is not there yet, also from another version", async () => {
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

  test("is complete when its last file is there, and no version is made of it before", async () => {
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

  test("takes one file as it is, too", async () => {
    const { jwt } = (await openSession(server, "single", { "/a.txt": "a" })).result;
    const url = `${server.control}/client/v4/accounts/sluice/workers/assets/upload/${a.hash}`;
    const headers = { Authorization: `Bearer ${jwt}`, "Content-Type": "text/plain; charset=utf-8" };
    const answer = await fetch(url, { method: "POST", body: "a", headers });
    const { result } = await answer.json();
    expect((await put("single", result.jwt)).errors).toEqual([]);
    expect(await text("single", "/a.txt")).toBe("200 a");
  });

  test("refuses what it did not announce, and tokens that are not its own", async () => {
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

  test("is refused with the line of a file of rules that is wrong, and nothing is made of it", async () => {
    const jwt = await uploadAssets(server, "ruled", files);
    for (const [config, why] of [
      [{ _headers: "X-A: b" }, "of _headers, line 1"],
      [{ _redirects: "/a /b\n/a /c" }, "of _redirects, line 2"],
      [{ run_worker_first: ["!/a"] }, "of run_worker_first"],
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

  test("outlives the server between its files, and leaves nothing behind with its Worker", async () => {
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
      const blobs = join(again.dataDir, "storage/kv/sluice/blobs");
      expect((await readdir(blobs)).length).toBeGreaterThan(3);
      await call(again, "DELETE", "/workers/services/gone?force=true");
      // What is left: the table of routes, without one.
      await waitUntil(async () => (await readdir(blobs)).length === 1);
      await again.stop();
    } finally {
      await disposeServer(own);
    }
  });
});
