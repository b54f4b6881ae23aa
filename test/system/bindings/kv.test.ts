import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROCESSES } from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";
import { runBoth } from "./compare.ts";

describe.each(PROCESSES)("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("a KV namespace answers as it answers a plain Worker, errors included", async () => {
    const { plain, sluice } = await runBoth(server, "kv", {
      miniflare: { kvNamespaces: { KV: "one" } },
      metadata: { bindings: [{ type: "kv_namespace", name: "KV", namespace_id: "0123abcd" }] },
      body: `
const { KV } = env;
await record("nothing", () => KV.get("nothing"));
await record("put", () => KV.put("text", "väl", { metadata: { a: [1] } }));
await record("put bytes", () => KV.put("bytes", new Uint8Array([1, 2, 255]).buffer));
await record("put view", () => KV.put("view", new Uint16Array([1, 2])));
await record("put stream", () => KV.put("stream", new Response("streamed").body));
await record("put number", () => KV.put("number", 5));
await record("put null", () => KV.put("null", null));
await record("put json", () => KV.put("json", JSON.stringify({ deep: { n: 1 } })));
for (const type of ["text", "json", "arrayBuffer"]) {
  for (const key of ["text", "bytes", "json", "nothing"]) {
    await record(type + " " + key, () => KV.get(key, type));
    await record(type + " of options " + key, () => KV.get(key, { type }));
  }
}
await record("stream", async () => new Response(await KV.get("stream", "stream")).text());
await record("stream of nothing", () => KV.get("nothing", "stream"));
await record("with metadata", () => KV.getWithMetadata("text"));
await record("with metadata of nothing", () => KV.getWithMetadata("nothing", "json"));
await record("many", () => KV.get(["text", "nothing"]));
await record("many as json", () => KV.get(["json"], "json"));
await record("many with metadata", () => KV.getWithMetadata(["text", "nothing"]));
await record("none", () => KV.get([]));
await record("too many", () => KV.get(Array.from({ length: 101 }, (_, i) => "k" + i)));
await record("many streams", () => KV.get(["text"], "stream"));
await record("list", async () => (await KV.list()).keys);
await record("list by prefix", () => KV.list({ prefix: "t" }));
await record("list pages", async () => {
  const pages = [];
  for (let cursor; ; ) {
    const page = await KV.list({ limit: 3, cursor });
    pages.push(page.keys.map(({ name }) => name));
    if (page.list_complete) return pages;
    cursor = page.cursor;
  }
});
await record("list too much", () => KV.list({ limit: 1001 }));
await record("expiring", () => KV.put("expiring", "1", { expiration: 4102444800 }));
await record("expiration", async () => (await KV.list({ prefix: "exp" })).keys);
await record("expires too soon", () => KV.put("a", "1", { expirationTtl: 5 }));
await record("expired", () => KV.put("a", "1", { expiration: 5 }));
await record("long metadata", () => KV.put("a", "1", { metadata: "x".repeat(1100) }));
await record("delete", () => KV.delete("text"));
await record("deleted", () => KV.get("text"));
await record("delete nothing", () => KV.delete("text"));
await record("empty key", () => KV.get(""));
await record("dot", () => KV.get("."));
await record("dots", () => KV.put("..", ""));
await record("long key", () => KV.get("x".repeat(513)));
await record("slash", async () => { await KV.put("a/b?c#d%20", "1"); return KV.get("a/b?c#d%20"); });
await record("no key", () => KV.get());
await record("no value", () => KV.put("a"));
await record("an object", () => KV.put("a", {}));
await record("too long a text", () => KV.put("a", "x".repeat(26 * 1024 * 1024)));
await record("too many bytes", () => KV.put("a", new Uint8Array(40 * 1024 * 1024)));
await record("a view of a large buffer", async () => { await KV.put("view", new Uint8Array(new ArrayBuffer(40 * 1024 * 1024), 8, 3)); return KV.get("view", "arrayBuffer"); });
await record("cache ttl", () => KV.get("a", { cacheTtl: 5 }));
await record("not json", () => KV.get("number", "json").then(() => KV.get("stream", "json")));
await record("constructor", () => KV.constructor.name);
await record("promise", () => KV.get("a") instanceof Promise);`,
    });
    expect(sluice).toEqual(plain);
    expect(Object.keys(plain).length).toBeGreaterThan(50);
  });
});
