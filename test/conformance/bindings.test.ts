/** Workers with storage, deployed and looked into by the real wrangler. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call } from "../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../support/server.ts";
import { configuration, fail, idAfter, succeed, textOf, useProject, versionsOf } from "./project.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

const COUNTER = `import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  async increment() {
    const n = ((await this.ctx.storage.get("n")) ?? 0) + 1;
    await this.ctx.storage.put("n", n);
    return n;
  }
}
`;

describe("kv", () => {
  const VALUES = `export default { async fetch(request, env) {
  return new Response((await env.KV.get(new URL(request.url).pathname.slice(1))) ?? "nothing");
} };`;

  test("a namespace is made, filled, read and deleted by wrangler, and a Worker that is bound to it sees the same", async () => {
    const project = await useProject(server, "kv-worker", { code: VALUES });
    const created = await succeed(project, "kv", "namespace", "create", "SETTINGS");
    const id = /"id": "([0-9a-f]{32})"/.exec(created)?.[1] as string;
    expect(await succeed(project, "kv", "namespace", "list")).toContain(id);
    await project.write(
      "wrangler.json",
      JSON.stringify({
        name: "kv-worker",
        main: "src/index.js",
        compatibility_date: "2026-11-17",
        kv_namespaces: [{ binding: "KV", id }],
      }),
    );
    await succeed(project, "kv", "key", "put", "color", "red", "--binding", "KV", "--remote");
    await succeed(
      project,
      "kv",
      "key",
      "put",
      "a b/c",
      "spaced",
      "--binding",
      "KV",
      "--remote",
      "--metadata",
      '{"by":"me"}',
    );
    await succeed(project, "deploy");
    const at = async (path: string) => (await server.traffic("kv-worker", { path })).body;
    expect(await at("/color")).toBe("red");
    expect(
      await succeed(project, "kv", "key", "get", "a b/c", "--binding", "KV", "--remote", "--text"),
    ).toContain("spaced");
    const listed = await succeed(project, "kv", "key", "list", "--binding", "KV", "--remote");
    expect(JSON.parse(listed)).toEqual([{ name: "a b/c", metadata: { by: "me" } }, { name: "color" }]);
    await succeed(project, "kv", "key", "delete", "color", "--binding", "KV", "--remote");
    expect(await at("/color")).toBe("nothing");
    await project.write(
      "pairs.json",
      JSON.stringify([
        { key: "one", value: "1" },
        { key: "two", value: "2" },
      ]),
    );
    await succeed(project, "kv", "bulk", "put", "pairs.json", "--binding", "KV", "--remote");
    expect([await at("/one"), await at("/two")]).toEqual(["1", "2"]);
    await project.write("keys.json", JSON.stringify(["one"]));
    await succeed(project, "kv", "bulk", "delete", "keys.json", "--binding", "KV", "--remote", "--force");
    expect(await at("/one")).toBe("nothing");
    await succeed(project, "kv", "namespace", "delete", "--namespace-id", id, "-y");
    expect(await succeed(project, "kv", "namespace", "list")).not.toContain(id);
  });

  test("a namespace without an id is made when the Worker is deployed, and is the same one in the next deploy", async () => {
    const project = await useProject(server, "kv-made", {
      config: { kv_namespaces: [{ binding: "KV" }] },
      code: `export default { async fetch(request, env) {
  const n = Number((await env.KV.get("n")) ?? 0) + 1;
  await env.KV.put("n", String(n));
  return new Response(String(n));
} };`,
    });
    await succeed(project, "deploy");
    expect(await textOf(server, "kv-made")).toBe("1");
    await succeed(project, "deploy");
    expect(await textOf(server, "kv-made")).toBe("2");
  });
});

describe("r2", () => {
  test("a bucket is made, filled, read and deleted by wrangler, and a Worker that is bound to it sees the same objects", async () => {
    const project = await useProject(server, "r2-worker", {
      config: { r2_buckets: [{ binding: "FILES", bucket_name: "photos" }] },
      code: `export default { async fetch(request, env) {
  const found = await env.FILES.get(new URL(request.url).pathname.slice(1));
  return found === null ? new Response("nothing", { status: 404 }) : new Response(found.body, { headers: { "content-type": found.httpMetadata.contentType } });
} };`,
      files: { "photo.txt": "a photo" },
    });
    await succeed(project, "r2", "bucket", "create", "photos");
    expect(await succeed(project, "r2", "bucket", "list")).toContain("photos");
    await succeed(
      project,
      "r2",
      "object",
      "put",
      "photos/dir/a b.txt",
      "--file",
      "photo.txt",
      "--content-type",
      "text/x-photo",
      "--remote",
    );
    await succeed(project, "deploy");
    await succeed(
      project,
      "r2",
      "object",
      "put",
      "photos/photo",
      "--file",
      "photo.txt",
      "--content-type",
      "text/x-photo",
      "--remote",
    );
    expect(await server.traffic("r2-worker", { path: "/photo" })).toMatchObject({
      body: "a photo",
      headers: { "content-type": "text/x-photo" },
    });
    expect(
      await succeed(project, "r2", "object", "get", "photos/dir/a b.txt", "--remote", "--pipe"),
    ).toContain("a photo");
    expect(await fail(project, "r2", "bucket", "delete", "photos")).toContain("not empty");
    await succeed(project, "r2", "object", "delete", "photos/dir/a b.txt", "--remote");
    await succeed(project, "r2", "object", "delete", "photos/photo", "--remote");
    expect((await server.traffic("r2-worker", { path: "/photo" })).status).toBe(404);
    await succeed(project, "r2", "bucket", "delete", "photos");
    expect(await succeed(project, "r2", "bucket", "list")).not.toContain("photos");
  });

  test("a bucket that is not there is made when the Worker is deployed", async () => {
    const code = `export default { async fetch(request, env) {
  await env.FILES.put("k", "kept");
  return new Response(await (await env.FILES.get("k")).text());
} };`;
    for (const bucket of [{ bucket_name: "made-by-name" }, {}]) {
      const worker = `r2-made-${Object.keys(bucket).length}`;
      const project = await useProject(server, worker, {
        config: { r2_buckets: [{ binding: "FILES", ...bucket }] },
        code,
      });
      await succeed(project, "deploy");
      expect(await textOf(server, worker)).toBe("kept");
    }
  });
});

describe("d1", () => {
  const ROWS = `export default { async fetch(request, env) {
  const { results } = await env.DB.prepare("SELECT name FROM item ORDER BY name").all();
  return new Response(results.map(({ name }) => name).join());
} };`;

  test("a database is made, migrated, asked and deleted by wrangler, and a Worker that is bound to it sees the same rows", async () => {
    const project = await useProject(server, "d1-worker", { code: ROWS });
    const created = await succeed(project, "d1", "create", "shop");
    const id = /"database_id": "([0-9a-f-]{36})"/.exec(created)?.[1] as string;
    expect(await succeed(project, "d1", "list")).toContain(id);
    await project.write(
      "wrangler.json",
      configuration("d1-worker", {
        d1_databases: [{ binding: "DB", database_name: "shop", database_id: id }],
      }),
    );
    await project.write(
      "migrations/0001_items.sql",
      "CREATE TABLE item (name TEXT);\nINSERT INTO item VALUES ('first');\n",
    );
    expect(await succeed(project, "d1", "migrations", "apply", "shop", "--remote")).toContain(
      "0001_items.sql",
    );
    expect(await succeed(project, "d1", "migrations", "list", "shop", "--remote")).toContain(
      "No migrations to apply",
    );
    await succeed(
      project,
      "d1",
      "execute",
      "shop",
      "--remote",
      "-y",
      "--command",
      "INSERT INTO item VALUES ('second')",
    );
    await succeed(project, "deploy");
    expect(await textOf(server, "d1-worker")).toBe("first,second");
    const asked = await succeed(
      project,
      "d1",
      "execute",
      "shop",
      "--remote",
      "--json",
      "--command",
      "SELECT count(*) AS n FROM item",
    );
    expect(JSON.parse(asked)[0].results).toEqual([{ n: 2 }]);
    expect(
      await fail(project, "d1", "execute", "shop", "--remote", "-y", "--command", "SELECT * FROM nowhere"),
    ).toContain("no such table: nowhere");
    await project.write(
      "rows.sql",
      "-- more\nINSERT INTO item VALUES ('third; not the end');\nINSERT INTO item VALUES ('fourth');\n-- the end\n",
    );
    const file = await succeed(project, "d1", "execute", "shop", "--remote", "-y", "--file", "rows.sql");
    expect(file).toContain("Executed 2 queries");
    expect(await textOf(server, "d1-worker")).toBe("first,fourth,second,third; not the end");
    await project.write(
      "broken.sql",
      "INSERT INTO item VALUES ('never');\nINSERT INTO nowhere VALUES (1);\n",
    );
    const broken = await fail(project, "d1", "execute", "shop", "--remote", "-y", "--file", "broken.sql");
    expect(broken).toContain("no such table: nowhere");
    expect(await textOf(server, "d1-worker")).not.toContain("never");
    await succeed(project, "d1", "delete", "shop", "-y");
    expect(await succeed(project, "d1", "list")).not.toContain(id);
  });

  test("a database is found by its name, where the configuration has no id or there is none", async () => {
    const project = await useProject(server, "d1-named", {
      config: { d1_databases: [{ binding: "DB", database_name: "by-name" }] },
      code: `export default { fetch: async (request, env) => new Response(await env.DB.prepare("SELECT name FROM item").first("name")) };`,
    });
    await succeed(project, "d1", "create", "by-name");
    const anywhere = await useProject(server, "d1-anywhere");
    await succeed(
      anywhere,
      "d1",
      "execute",
      "by-name",
      "--remote",
      "-y",
      "--command",
      "CREATE TABLE item (name TEXT); INSERT INTO item VALUES ('here')",
    );
    await succeed(project, "deploy");
    expect(await textOf(server, "d1-named")).toBe("here");
    await succeed(anywhere, "d1", "delete", "by-name", "-y");
    expect(await succeed(anywhere, "d1", "list")).not.toContain("by-name");
  });

  test("a database without an id is made when the Worker is deployed", async () => {
    const project = await useProject(server, "d1-made", {
      config: { d1_databases: [{ binding: "DB" }] },
      code: `export default { fetch: async (request, env) => new Response(String(await env.DB.prepare("SELECT 6 * 7 AS n").first("n"))) };`,
    });
    await succeed(project, "deploy");
    expect(await textOf(server, "d1-made")).toBe("42");
  });
});

describe("queues", () => {
  test("a deploy makes the queue, and the Worker its producer and consumer; wrangler shows, purges and deletes it", async () => {
    const project = await useProject(server, "jobs", {
      config: {
        kv_namespaces: [{ binding: "KV", id: "jobs-done" }],
        queues: {
          producers: [{ binding: "JOBS", queue: "jobs" }],
          consumers: [
            {
              queue: "jobs",
              max_batch_size: 5,
              max_batch_timeout: 0,
              max_retries: 1,
              dead_letter_queue: "jobs-dead",
            },
          ],
        },
      },
      code: `export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/done") return new Response(await env.KV.get("done"));
    await env.JOBS.send({ path: pathname });
    return new Response("sent");
  },
  async queue(batch, env) {
    for (const { body } of batch.messages) await env.KV.put("done", batch.queue + body.path);
  },
};`,
    });
    await succeed(project, "queues", "create", "jobs-dead");
    expect(await succeed(project, "queues", "list")).toContain("jobs-dead");
    expect(await succeed(project, "deploy")).toContain("Consumer for jobs");
    expect((await server.traffic("jobs", { path: "/first" })).body).toBe("sent");
    await waitUntil(async () => (await server.traffic("jobs", { path: "/done" })).body === "jobs/first");
    // The second deploy finds the consumer there and changes it.
    await succeed(project, "deploy");
    const info = await succeed(project, "queues", "info", "jobs");
    expect(info).toContain("worker:jobs");
    await succeed(project, "queues", "consumer", "remove", "jobs", "jobs");
    await succeed(project, "queues", "purge", "jobs", "--force");
    await succeed(project, "queues", "delete", "jobs-dead");
    expect(await succeed(project, "queues", "list")).not.toContain("jobs-dead");
  });
});

describe("ratelimit and analytics_engine", () => {
  test("deploy from the configuration and work", async () => {
    const project = await useProject(server, "limited", {
      config: {
        ratelimits: [{ name: "LIMITER", namespace_id: "1", simple: { limit: 1, period: 60 } }],
        analytics_engine_datasets: [{ binding: "EVENTS", dataset: "limited_events" }],
      },
      code: `export default { async fetch(request, env) {
  const results = [];
  for (let i = 0; i < 3; i++) results.push((await env.LIMITER.limit({ key: "k" })).success);
  env.EVENTS.writeDataPoint({ blobs: results.map(String) });
  return Response.json(results);
} };`,
    });
    await succeed(project, "deploy");
    expect(JSON.parse(await textOf(server, "limited"))).toContain(false);
    await waitUntil(async () => {
      const response = await server.api("POST", "/analytics_engine/sql", {
        body: "SELECT blob3 FROM limited_events",
      });
      return ((await response.json()) as { rows: number }).rows === 1;
    });
  });
});

describe("durable objects", () => {
  const config = {
    durable_objects: { bindings: [{ name: "COUNTER", class_name: "Counter" }] },
    migrations: [{ tag: "v1", new_sqlite_classes: ["Counter"] }],
  };
  const code = (answer: string) =>
    `${COUNTER}export default { fetch: async (request, env) => new Response(${JSON.stringify(answer)} + await env.COUNTER.getByName("one").increment()) };`;

  test("deploy applies the migration once, later versions keep the objects, and a version that is uploaded shares them", async () => {
    const project = await useProject(server, "counting", { config, code: code("one ") });
    const one = idAfter("Current Version ID", await succeed(project, "deploy"));
    expect(await textOf(server, "counting")).toBe("one 1");
    await project.write("src/index.js", code("two "));
    await succeed(project, "deploy");
    expect(await textOf(server, "counting")).toBe("two 2");
    await project.write("src/index.js", code("three "));
    const three = idAfter("Worker Version ID", await succeed(project, "versions", "upload"));
    await succeed(project, "versions", "deploy", `${three}@100%`, "-y");
    expect(await textOf(server, "counting")).toBe("three 3");
    await succeed(project, "rollback", one, "-y");
    expect(await textOf(server, "counting")).toBe("one 4");
    expect(await succeed(project, "versions", "view", three)).toContain("COUNTER");
    const [latest] = await versionsOf(server, "counting");
    expect(latest.resources.bindings).toEqual([
      {
        type: "durable_object_namespace",
        name: "COUNTER",
        class_name: "Counter",
        namespace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
      },
    ]);
  });

  test("another Worker can use the class by its Worker's name", async () => {
    const project = await useProject(server, "borrowing", {
      config: {
        durable_objects: { bindings: [{ name: "COUNTER", class_name: "Counter", script_name: "counting" }] },
      },
      code: `export default { fetch: async (request, env) => new Response(String(await env.COUNTER.getByName("other").increment())) };`,
    });
    await succeed(project, "deploy");
    expect([await textOf(server, "borrowing"), await textOf(server, "borrowing")]).toEqual(["1", "2"]);
  });

  test("a migration cannot be part of a version that is only uploaded", async () => {
    const project = await useProject(server, "uploading", { code: code("") });
    await succeed(await useProject(server, "uploading"), "deploy");
    await project.write(
      "wrangler.json",
      JSON.stringify({
        name: "uploading",
        main: "src/index.js",
        compatibility_date: "2026-11-17",
        ...config,
      }),
    );
    expect(await fail(project, "versions", "upload")).toMatch(/migration/i);
    expect(await textOf(server, "uploading")).toBe("uploading");
  });
});

describe("service bindings", () => {
  test("a Worker calls another one, and is refused while that does not exist", async () => {
    const config = { services: [{ binding: "BACKEND", service: "backend" }] };
    const project = await useProject(server, "frontend", {
      config,
      code: `export default { fetch: async (request, env) => new Response("front " + await (await env.BACKEND.fetch(request)).text()) };`,
    });
    expect(await fail(project, "deploy")).toContain("10143");
    await succeed(await useProject(server, "backend"), "deploy");
    await succeed(project, "deploy");
    expect(await textOf(server, "frontend")).toBe("front backend");
  });
});

describe("service-worker syntax", () => {
  test("deploys and serves, its bindings are globals, and it cannot be uploaded as a version", async () => {
    const wasm = new Uint8Array([
      0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 115, 105, 120, 0, 0, 10, 6,
      1, 4, 0, 65, 6, 11,
    ]);
    const project = await useProject(server, "old-style", {
      config: {
        vars: { COLOR: "red" },
        kv_namespaces: [{ binding: "STORE", id: "old-style-store" }],
        wasm_modules: { SIX: "six.wasm" },
        text_blobs: { TEXT: "text.txt" },
        data_blobs: { DATA: "data.bin" },
      },
      files: { "six.wasm": wasm, "text.txt": "a text", "data.bin": new Uint8Array([1, 2, 3]) },
      code: `addEventListener("fetch", (event) => event.respondWith(answer(event)));
async function answer(event) {
  await STORE.put("k", "kept");
  event.waitUntil(Promise.resolve());
  const six = new WebAssembly.Instance(SIX).exports.six();
  return new Response([new URL(event.request.url).pathname, COLOR, six, TEXT, new Uint8Array(DATA).join(), await STORE.get("k")].join(" "));
}`,
    });
    await succeed(project, "deploy");
    expect((await server.traffic("old-style", { path: "/path" })).body).toBe("/path red 6 a text 1,2,3 kept");
    await succeed(project, "deploy");
    expect((await server.traffic("old-style", { path: "/again" })).body).toBe(
      "/again red 6 a text 1,2,3 kept",
    );
    expect(await fail(project, "versions", "upload")).toContain("service-worker syntax");
    const service = await call(server, "GET", "/workers/services/old-style");
    expect(service.result.default_environment.script.handlers).toEqual(["fetch"]);
  });
});
