import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assetFile, type Files, withAssets } from "../../support/assets.ts";
import { call, createDeployment, deploy, uploadForm } from "../../support/client.ts";
import { disposeServer, type Server, startServer, useServer } from "../../support/server.ts";
import { send } from "../helpers.ts";

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
  test("serves each file at its canonical path, and redirects other spellings to it", async () => {
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

  test("sends a file's type, length and ETag, and answers 304 to a browser that has the file", async () => {
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

  test("sends the requested range, where the file has it", async () => {
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

  test("refuses a POST, and answers 404 without a page for a missing file", async () => {
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

  test("decides how pages are named (html_handling)", async () => {
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

  test("decides what is served for a missing page (not_found_handling)", async () => {
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

  test("never serves a page for a missing file with a content hash in its name", async () => {
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

  test("takes headers and redirects from _headers and _redirects", async () => {
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

  test("serves files first, and runs the code for all other paths", async () => {
    await deploy(server, "full", await withAssets(server, "full", SITE, { code: CODE }));
    expect(await text("full", "/")).toBe("200 <h1>home</h1>");
    expect(await text("full", "/app.js")).toBe("200 app()");
    expect(await text("full", "/api/x")).toBe("200 code /api/x");
    expect(await text("full", "/through")).toBe("200 <h1>contact</h1>");
    expect(await text("full", "/nowhere")).toBe("200 code, then 404");
    expect(await text("full", "/assets/index-DiwrgTda.js")).toBe("200 code, then 404");
  });

  test("runs the code first with run_worker_first, for every path or for those that rules name", async () => {
    const first = { run_worker_first: true };
    await deploy(server, "first", await withAssets(server, "first", SITE, { code: CODE, config: first }));
    expect(await text("first", "/app.js")).toBe("200 code /app.js");
    expect(await text("first", "/")).toBe("200 code, then 200");
    const rules = { run_worker_first: ["/app*", "!/app2.js"], not_found_handling: "single-page-application" };
    await deploy(server, "rule", await withAssets(server, "rule", SITE, { code: CODE, config: rules }));
    expect(await text("rule", "/app.js")).toBe("200 code /app.js");
    expect(await text("rule", "/")).toBe("200 <h1>home</h1>");
  });

  test("serves the single page to navigations and runs the code for other requests, whichever comes first", async () => {
    const config = { not_found_handling: "single-page-application" };
    await deploy(server, "app", await withAssets(server, "app", SITE, { code: CODE, config }));
    for (let i = 0; i < 2; i++) {
      expect(await text("app", "/api/users", { "Sec-Fetch-Mode": "navigate" })).toBe("200 <h1>home</h1>");
      expect(await text("app", "/api/users")).toBe("200 code /api/users");
      expect(await text("app", "/page")).toBe("200 code, then 200");
    }
  });

  test("serves its files below its base path, with or without a slash at the end, and refuses a base path that is not valid", async () => {
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

  test("answers a Worker that is bound to it in the same way", async () => {
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

  test("keeps its files when only a secret changes", async () => {
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

  test("serves the files of its own version from two traffic processes too", async () => {
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
