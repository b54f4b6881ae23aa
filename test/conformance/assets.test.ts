/** Static assets, as wrangler uploads them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createDeployment } from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import { send } from "../system/helpers.ts";
import { fail, idAfter, succeed, useProject } from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

const get = (worker: string, path: string) =>
  send({ port: server.trafficPort, host: `${worker}.localhost`, path });

test("a folder is uploaded with the code, the next version uploads new files only, and each file has its type", async () => {
  const project = await useProject(server, "site", {
    config: { assets: { directory: "public", binding: "FILES" } },
    code: "export default { fetch: async (request, env) => new Response('code ' + (await env.FILES.fetch(new URL('/a.css', request.url))).status) };\n",
    files: {
      "public/index.html": "<h1>home</h1>",
      "public/a.css": "a{}",
      "public/logo.svg": "<svg/>",
      "public/raw": "raw",
      "public/.assetsignore": "*.map\n",
      "public/a.css.map": "{}",
      "public/_headers": "/a.css\n  X-Styled: yes\n",
    },
  });
  expect(await succeed(project, "deploy")).toContain("Uploaded 4 of 4 assets");
  const types: Record<string, unknown> = {};
  for (const path of ["/", "/a.css", "/logo.svg", "/raw"])
    types[path] = (await get("site", path)).headers["content-type"];
  expect(types).toEqual({
    "/": "text/html; charset=utf-8",
    "/a.css": "text/css; charset=utf-8",
    "/logo.svg": "image/svg+xml",
    "/raw": undefined,
  });
  expect((await get("site", "/a.css")).headers["x-styled"]).toBe("yes");
  expect((await get("site", "/a.css.map")).body.toString()).toBe("code 200");

  await project.write("public/b.css", "b{}");
  const output = await succeed(project, "versions", "upload");
  expect(output).toContain("+ /b.css");
  expect(output).toContain("Uploaded 1 of 1 asset");
  expect((await get("site", "/b.css")).body.toString()).toBe("code 200");
  await createDeployment(server, "site", [[idAfter("Worker Version ID", output), 100]]);
  expect((await get("site", "/b.css")).body.toString()).toBe("b{}");
  expect(await succeed(project, "deploy")).toContain("No updated asset files to upload");
});

test("a folder alone is a Worker, whose next version may have code", async () => {
  const config = { main: undefined, assets: { directory: "public" } };
  const project = await useProject(server, "folder", { config, files: { "public/index.html": "page" } });
  expect(await succeed(project, "deploy")).toContain("folder.localhost");
  expect((await get("folder", "/")).body.toString()).toBe("page");
  expect((await get("folder", "/api")).status).toBe(404);
  await project.write(
    "wrangler.json",
    JSON.stringify({
      name: "folder",
      main: "src/index.js",
      compatibility_date: "2026-11-17",
      assets: { directory: "public" },
    }),
  );
  await succeed(project, "deploy");
  expect((await get("folder", "/")).body.toString()).toBe("page");
  expect((await get("folder", "/api")).body.toString()).toBe("folder");
});

test("a secret that is changed in place keeps the files", async () => {
  const config = { assets: { directory: "public" } };
  const project = await useProject(server, "secretive", { config, files: { "public/index.html": "page" } });
  await succeed(project, "deploy");
  await project.wrangler(["secret", "put", "KEY"], "value");
  expect((await get("secretive", "/")).body.toString()).toBe("page");
});

test("a file of redirects that is wrong fails the deploy with its line, and the first deploy leaves no Worker", async () => {
  const config = { assets: { directory: "public" } };
  const files = { "public/index.html": "page", "public/_redirects": "/a /b 999\n" };
  const project = await useProject(server, "misled", { config, files });
  expect(await fail(project, "deploy")).toContain('in _redirects, line 1 ("/a /b 999") has the status 999');
  expect((await get("misled", "/")).status).toBe(404);
});
