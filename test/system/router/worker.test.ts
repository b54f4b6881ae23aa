import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, deploy, IS_SPLIT, readEnvelope, uploadForm, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { storedCode } from "../../support/stored.ts";
import { NAMING_ITSELF } from "../helpers.ts";
import { code, OVERRIDES, split } from "./helpers.ts";

const MiB = 1024 * 1024;

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

describe("a Worker", () => {
  test.skipIf(IS_SPLIT)(
    "that is deleted is gone at once, and one deployed later under its name has none of its secrets and versions",
    async () => {
      const old = await deploy(server, "phoenix", {
        ...NAMING_ITSELF,
        metadata: {
          bindings: [
            { type: "version_metadata", name: "VERSION" },
            { type: "secret_text", name: "OLD", text: "secret" },
          ],
        },
      });
      expect((await server.traffic("phoenix")).body).toBe(old);
      for (let round = 0; round < 3; round++) {
        expect((await call(server, "DELETE", "/workers/services/phoenix")).success).toBe(true);
        const gone = await server.traffic("phoenix");
        expect([gone.status, gone.body]).toEqual([
          404,
          `There is no Worker at phoenix.localhost:${server.trafficPort}.\n`,
        ]);
        expect((await call(server, "GET", "/workers/scripts/phoenix/versions")).status).toBe(404);
        if (round > 0) expect(storedCode(server, old)).toEqual([]);

        const id = await deploy(
          server,
          "phoenix",
          code("export default { fetch: (r, env) => Response.json(env) };"),
        );
        expect((await server.traffic("phoenix")).body).toBe("{}");
        const versions = await call(server, "GET", "/workers/scripts/phoenix/versions");
        expect(versions.result.items.map((version: { id: string }) => version.id)).toEqual([id]);
        const overridden = await server.traffic("phoenix", { headers: { [OVERRIDES]: `phoenix="${old}"` } });
        expect(overridden.body).toBe("{}");
        await waitUntil(() => storedCode(server, old).length === 0);
      }
    },
  );

  test.skipIf(IS_SPLIT)(
    "sees only its own variables, and no memory of another Worker or version",
    async () => {
      const spy = (name: string) => ({
        ...code(`let requests = 0;
        export default {
          fetch(request, env) {
            const found = globalThis.planted ?? null;
            globalThis.planted = "${name}";
            return Response.json({ env, found, requests: ++requests });
          },
        };`),
        metadata: {
          bindings: [
            { type: "plain_text", name: "NAME", text: name },
            { type: "json", name: "DATA", json: { of: [name] } },
            { type: "secret_text", name: "SECRET", text: `secret of ${name}` },
          ],
        },
      });
      const ids: string[] = [];
      for (const name of ["left", "right"]) ids.push(await deploy(server, name, spy(name)));
      const next = await uploadVersion(server, "left", spy("next"));
      await split(server, "left", [ids[0] as string, 100], [next, 0]);
      const env = (name: string) => ({ NAME: name, DATA: { of: [name] }, SECRET: `secret of ${name}` });
      for (const [worker, name, headers] of [
        ["left", "left", {}],
        ["right", "right", {}],
        ["left", "next", { [OVERRIDES]: `left="${next}"` }],
      ] as const) {
        const first = JSON.parse((await server.traffic(worker, { headers })).body);
        expect(first).toEqual({ env: env(name), found: null, requests: 1 });
        const second = JSON.parse((await server.traffic(worker, { headers })).body);
        expect(second).toEqual({ env: env(name), found: name, requests: 2 });
      }
    },
  );

  test("does not find another Worker's entries in the cache", async () => {
    const cacher = code(`export default {
      async fetch(request) {
        const name = "http://cache.example/shared";
        if (request.method === "PUT") {
          await caches.default.put(name, new Response("secret", { headers: { "Cache-Control": "max-age=600" } }));
          return new Response("stored");
        }
        const found = await caches.default.match(name);
        return new Response(found === undefined ? "nothing" : await found.text());
      },
    };`);
    await deploy(server, "cache-one", cacher);
    await deploy(server, "cache-two", cacher);
    await server.traffic("cache-one", { method: "PUT" });
    expect((await server.traffic("cache-two")).body).toBe("nothing");
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "with space", "ünïcode", "a.b"])(
    "gets a variable and a secret named %s, or its upload is refused",
    async (name) => {
      const worker = "oddly-named";
      const upload = {
        ...code(`export default { fetch: (r, env) => new Response(Object.entries(env).flat().join(" ")) };`),
        metadata: { bindings: [{ type: "plain_text", name, text: "value" }] },
      };
      const reply = await call(server, "PUT", `/workers/scripts/${worker}`, uploadForm(upload));
      if (reply.success) expect((await server.traffic(worker)).body).toBe(`${name} value`);
      else expect(reply.status).toBe(400);

      await deploy(server, `${worker}-secret`, { ...upload, metadata: {} });
      const secret = await readEnvelope(
        await server.api("PUT", `/workers/scripts/${worker}-secret/secrets`, {
          body: `{"name":${JSON.stringify(name)},"text":"hidden","type":"secret_text"}`,
        }),
      );
      if (secret.success) expect((await server.traffic(`${worker}-secret`)).body).toContain(`${name} hidden`);
      else expect(secret.status).toBe(400);
    },
  );

  test.skipIf(IS_SPLIT)(
    "reads its version's id, tag and time from its version metadata, also after a change of secrets",
    async () => {
      const upload = {
        ...code("export default { fetch: (request, env) => Response.json(env.VERSION) };"),
        metadata: {
          bindings: [{ type: "version_metadata", name: "VERSION" }],
          annotations: { "workers/tag": "v1.2.3", "workers/message": "a message" },
        },
      };
      const id = await deploy(server, "metadata", upload);
      const { result } = await call(server, "GET", `/workers/scripts/metadata/versions/${id}`);
      const timestamp = result.metadata.created_on;
      expect(JSON.parse((await server.traffic("metadata")).body)).toEqual({ id, tag: "v1.2.3", timestamp });

      await call(server, "PUT", "/workers/scripts/metadata/secrets", { name: "S", text: "x" });
      const versions = await call(server, "GET", "/workers/scripts/metadata/versions");
      const [latest] = versions.result.items;
      expect(latest.id).not.toBe(id);
      expect(JSON.parse((await server.traffic("metadata")).body)).toEqual({
        id: latest.id,
        tag: "",
        timestamp: latest.metadata.created_on,
      });
    },
  );

  test("imports modules of every type, also from folders", async () => {
    // (module (func (export "f") (result i32) i32.const 42))
    const wasm = Buffer.from("0061736d010000000105016000017f03020100070501016600000a06010400412a0b", "hex");
    const modules = {
      "src/index.js": {
        content: `import { name } from "./lib/name.js";
          import text from "../data/text.txt";
          import data from "./lib/data.bin";
          import json from "./lib/data.json";
          import cjs from "./lib/old.cjs";
          import wasm from "./lib/f.wasm";
          const { f } = new WebAssembly.Instance(wasm).exports;
          export default {
            fetch: () => Response.json([name, text, [...new Uint8Array(data)], json, cjs.value, f()]),
          };`,
      },
      "src/lib/name.js": { content: `export const name = "a module";` },
      "data/text.txt": { content: "a text\n", type: "text/plain" },
      "src/lib/data.bin": { content: new Uint8Array([0, 255, 128]), type: "application/octet-stream" },
      "src/lib/data.json": { content: '{"a":["json"]}', type: "application/json" },
      "src/lib/old.cjs": { content: "module.exports = { value: 7 };", type: "application/javascript" },
      "src/lib/f.wasm": { content: wasm, type: "application/wasm" },
      "src/index.js.map": { content: "{}", type: "application/source-map" },
    };
    await deploy(server, "modules", { modules, metadata: { main_module: "src/index.js" } });
    expect(JSON.parse((await server.traffic("modules")).body)).toEqual([
      "a module",
      "a text\n",
      [0, 255, 128],
      { a: ["json"] },
      7,
      42,
    ]);
  });

  test("of 15 MiB is served", async () => {
    const content = new Uint8Array(15 * MiB).fill(7);
    const modules = {
      "index.js": {
        content: `import data from "./big.bin"; export default { fetch: () => new Response(String(data.byteLength)) };`,
      },
      "big.bin": { content, type: "application/octet-stream" },
    };
    await deploy(server, "heavy", { modules });
    expect((await server.traffic("heavy")).body).toBe(String(15 * MiB));
  });
});
