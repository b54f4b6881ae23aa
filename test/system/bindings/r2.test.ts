import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deploy, PROCESSES } from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";
import { runBoth } from "./compare.ts";

const BODY = `
const { R2 } = env;
const meta = (o) => o && { key: o.key, size: o.size, etag: o.etag, httpEtag: o.httpEtag, uploaded: o.uploaded instanceof Date,
  version: typeof o.version, checksums: o.checksums.toJSON(), httpMetadata: o.httpMetadata, customMetadata: o.customMetadata,
  range: o.range, storageClass: o.storageClass, body: "body" in o };
const put = (name, ...args) => record(name, async () => meta(await R2.put(...args)));
await put("put", "text", "väl");
await put("put bytes", "bytes", new Uint8Array([1, 2, 255]).buffer);
await put("put view", "view", new Uint8Array([3, 4]));
await put("put blob", "blob", new Blob(["blob"]));
await put("put null", "null", null);
await put("put stream", "stream", new Response("streamed").body);
await put("put empty", "empty", "");
await put("put with metadata", "meta", "{}", { httpMetadata: { contentType: "application/json", cacheControl: "max-age=5", contentLanguage: "en", contentDisposition: "inline", contentEncoding: "identity", cacheExpiry: new Date(86400000) }, customMetadata: { a: "1" } });
await put("put with headers", "headers", "x", { httpMetadata: new Headers({ "content-type": "text/x", "cache-control": "no-store" }) });
await put("put with md5", "md5", "x", { md5: "9dd4e461268c8034f5c8564e155c67a6" });
await put("put with wrong md5", "md5", "x", { md5: "0".repeat(32) });
await put("put with sha256", "sha", "x", { sha256: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" });
await put("put if match", "text", "again", { onlyIf: { etagMatches: "nothing" } });
await put("put an object", "bad", {});
await put("put nothing", "bad");
await record("head", async () => meta(await R2.head("meta")));
await record("head of nothing", () => R2.head("nothing"));
await record("get", async () => meta(await R2.get("text")));
await record("get of nothing", () => R2.get("nothing"));
for (const type of ["text", "json", "arrayBuffer", "bytes"]) await record("get " + type, async () => (await R2.get("meta"))[type]());
await record("get blob", async () => { const b = await (await R2.get("meta")).blob(); return [b.type, await b.text()]; });
await record("get body", async () => new Response((await R2.get("stream")).body).text());
await record("body used", async () => { const o = await R2.get("text"); const before = o.bodyUsed; await o.text(); return [before, o.bodyUsed]; });
await record("read twice", async () => { const o = await R2.get("text"); await o.text(); return o.text(); });
await record("empty body", async () => (await R2.get("empty")).text());
await record("range", async () => { const o = await R2.get("stream", { range: { offset: 2, length: 3 } }); return [meta(o), await o.text()]; });
await record("range from", async () => (await R2.get("stream", { range: { offset: 4 } })).text());
await record("range suffix", async () => (await R2.get("stream", { range: { suffix: 2 } })).text());
await record("range headers", async () => (await R2.get("stream", { range: new Headers({ range: "bytes=1-2" }) })).text());
await record("range beyond", async () => (await R2.get("stream", { range: { offset: 100 } })).text());
await record("if match", async () => { const { etag } = await R2.head("text"); return [meta(await R2.get("text", { onlyIf: { etagMatches: etag } })).body, meta(await R2.get("text", { onlyIf: { etagDoesNotMatch: etag } }))]; });
await record("if headers", async () => { const { httpEtag } = await R2.head("text"); return meta(await R2.get("text", { onlyIf: new Headers({ "if-none-match": httpEtag }) })); });
await record("if uploaded", async () => meta(await R2.get("text", { onlyIf: { uploadedBefore: new Date(0) } })));
await record("write metadata", async () => { const h = new Headers(); (await R2.head("meta")).writeHttpMetadata(h); return [...h]; });
await record("checksums", async () => { const { checksums } = await R2.head("sha"); return [checksums.sha256, checksums.md5, checksums.sha1]; });
for (const key of ["dir/a", "dir/b", "dir/sub/c", "other"]) await R2.put(key, key);
const page = (l) => ({ ...l, objects: l.objects.map(({ key, size }) => [key, size]), cursor: typeof l.cursor });
await record("list", async () => page(await R2.list()));
await record("list by prefix", async () => page(await R2.list({ prefix: "dir/" })));
await record("list by delimiter", async () => page(await R2.list({ prefix: "dir/", delimiter: "/" })));
await record("list folders", async () => page(await R2.list({ delimiter: "/" })));
await record("list after", async () => page(await R2.list({ startAfter: "meta" })));
await record("list with metadata", async () => (await R2.list({ prefix: "meta", include: ["httpMetadata", "customMetadata"] })).objects.map(meta));
await record("list pages", async () => { const pages = []; let cursor; do { const p = await R2.list({ limit: 4, cursor }); pages.push(p.objects.map(({ key }) => key)); cursor = p.truncated ? p.cursor : undefined; } while (cursor); return pages; });
await record("list too much", async () => page(await R2.list({ limit: 2000 })));
await record("delete", () => R2.delete("text"));
await record("deleted", () => R2.head("text"));
await record("delete many", () => R2.delete(["dir/a", "dir/b", "nothing"]));
await record("delete none", () => R2.delete([]));
await record("after delete", async () => page(await R2.list({ prefix: "dir" })));
await record("empty key", async () => meta(await R2.put("", "x")).key);
await record("long key", () => R2.put("x".repeat(1025), "x"));
await record("slash", async () => { await R2.put("a/b?c#d%20", "1"); return (await R2.get("a/b?c#d%20")).text(); });
const big = new Uint8Array(5 * 1024 * 1024).fill(7);
await put("put 40 MiB", "huge", new Uint8Array(40 * 1024 * 1024));
await put("put 40 MiB of text", "huge", "x".repeat(40 * 1024 * 1024));
await put("put a view of 40 MiB", "view", new Uint8Array(new ArrayBuffer(40 * 1024 * 1024), 8, 3));
await put("put a body of 20 MiB", "huge", new Response(new Uint8Array(20 * 1024 * 1024)).body);
await record("multipart", async () => {
  const upload = await R2.createMultipartUpload("big", { customMetadata: { parts: "2" } });
  const one = await upload.uploadPart(1, big);
  const two = await R2.resumeMultipartUpload("big", upload.uploadId).uploadPart(2, "end");
  const done = await upload.complete([one, two]);
  return [upload.key, one.partNumber, typeof one.etag, done.size, done.customMetadata, done.etag.endsWith("-2")];
});
await record("multipart content", async () => { const b = await (await R2.get("big")).bytes(); return [b.length, b[0], b.at(-1)]; });
await record("abort", async () => { const upload = await R2.createMultipartUpload("aborted"); await upload.uploadPart(1, "x"); await upload.abort(); return R2.head("aborted"); });
await record("complete nothing", () => R2.resumeMultipartUpload("none", "nothing").complete([]));
await record("part of nothing", () => R2.resumeMultipartUpload("none", "nothing").uploadPart(1, "x"));
await record("small parts", async () => { const upload = await R2.createMultipartUpload("small"); const parts = [await upload.uploadPart(1, "a"), await upload.uploadPart(2, "b")]; return (await upload.complete(parts)).size; });
await record("names", async () => [R2.constructor.name, (await R2.createMultipartUpload("n")).constructor.name]);`;

describe.each(PROCESSES)("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("an R2 bucket answers as it answers a plain Worker, errors included", async () => {
    const { plain, sluice } = await runBoth(server, "r2", {
      miniflare: { r2Buckets: { R2: "one" } },
      metadata: { bindings: [{ type: "r2_bucket", name: "R2", bucket_name: "bucket-one" }] },
      body: BODY,
    });
    expect(sluice).toEqual(plain);
  });

  test("takes a stream of unknown length, in parts where it is long, and returns it whole", async () => {
    await deploy(server, "streams", {
      modules: {
        "index.js": {
          content: `export default { async fetch(request, env) {
  const key = new URL(request.url).searchParams.get("key");
  if (request.method === "GET") return new Response((await env.R2.get(key))?.body);
  const { readable, writable } = new TransformStream();
  const piped = request.body.pipeTo(writable);
  const stored = await env.R2.put(key, readable);
  await piped;
  return new Response(String(stored.size));
} };`,
        },
      },
      metadata: { bindings: [{ type: "r2_bucket", name: "R2", bucket_name: "streams" }] },
    });
    for (const size of [0, 5, 8 * 1024 * 1024, 20 * 1024 * 1024 + 1]) {
      const body = "0123456789abcdef".repeat(size / 16 + 1).slice(0, size);
      const put = await server.traffic("streams", { method: "PUT", path: `/?key=${size}`, body });
      expect([put.status, put.body]).toEqual([200, String(size)]);
      const got = await server.traffic("streams", { path: `/?key=${size}` });
      expect(got.body === body).toBe(true);
    }
  });
});
