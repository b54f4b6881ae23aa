/** Any upload becomes a draft that keeps what drafts promise, or a refusal that uploads have. None throws. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { readUpload } from "../../src/control/upload/index.ts";
import { ASSETS_ONLY_MODULE, SERVICE_WORKER_MODULE } from "../../src/versions/names.ts";
import { ESM, formOf, METADATA, type Part } from "./uploads.ts";

/** What refusals of uploads may be. */
const REASONS = ["upload-invalid", "unsupported", "assets-invalid", "version-too-large", "body-too-large"];

async function expectResult(body: BodyInit, type?: string): Promise<void> {
  const headers = type === undefined ? {} : { headers: { "Content-Type": type } };
  const result = await readUpload(new Request("http://sluice/", { method: "PUT", body, ...headers }));
  if (!result.ok) {
    expect(REASONS).toContain(result.error.reason);
    return;
  }
  const { main_module, modules, bindings } = result.value;
  const names = modules.map(({ name }) => name);
  expect(names).toContain(main_module);
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(bindings.map(({ name }) => name)).size).toBe(bindings.length);
  const own = new Set([ASSETS_ONLY_MODULE, SERVICE_WORKER_MODULE, `${SERVICE_WORKER_MODULE}.globals.js`]);
  for (const name of names.filter((each) => !own.has(each))) {
    expect(name).not.toMatch(/^\/|^__sluice|(^|\/)\.\.?(\/|$)/);
  }
}

test("bytes are a draft or a refusal, never an exception", async () => {
  const type = fc.constantFrom("multipart/form-data; boundary=b", "multipart/form-data", "text/plain", "");
  const line = fc.oneof(
    fc.constantFrom("--b\r\n", "--b--\r\n", "\r\n", "Content-Type: text/plain\r\n", '{"main_module":"m"}'),
    fc
      .constantFrom("metadata", "m", "../m", "")
      .map((name) => `Content-Disposition: form-data; name="${name}"\r\n`),
    fc.string({ maxLength: 20 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 12 }), type, (lines, contentType) =>
      expectResult(lines.join(""), contentType),
    ),
    { numRuns: 300 },
  );
});

test("metadata of any shape is a draft or a refusal", async () => {
  const field = fc.constantFrom(
    ...["main_module", "body_part", "compatibility_date", "compatibility_flags", "bindings", "keep_bindings"],
    ...["annotations", "migrations", "assets", "keep_assets", "logpush", "observability", "tags", "limits"],
    ...["placement", "exports", "containers", "__proto__", "constructor"],
  );
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom("index.js", true, null, [], {}));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(field, value), { maxLength: 5 }), (fields) => {
      const members = [["main_module", "index.js"], ...fields];
      return expectResult(
        formOf(
          `{${members.map((member) => member.map((each) => JSON.stringify(each)).join(":")).join(",")}}`,
        ),
      );
    }),
    { numRuns: 300 },
  );
});

test("bindings of any type and shape are a draft or a refusal", async () => {
  const type = fc.oneof(
    fc.constantFrom(
      "plain_text",
      "json",
      "secret_text",
      "kv_namespace",
      "r2_bucket",
      "d1",
      "queue",
      "service",
    ),
    fc.constantFrom("inherit", "ratelimit", "durable_object_namespace", "assets", "wasm_module"),
    fc.string(),
  );
  const more = fc.dictionary(
    fc.constantFrom("text", "json", "namespace_id", "bucket_name", "id", "queue_name", "service", "part"),
    fc.jsonValue(),
  );
  const binding = fc
    .tuple(fc.record({ type, name: fc.constantFrom("A", "B", "C", "__proto__", "") }), more)
    .map(([base, extra]) => ({ ...extra, ...base }));
  await fc.assert(
    fc.asyncProperty(fc.array(binding, { maxLength: 4 }), fc.boolean(), (bindings, isScript) =>
      expectResult(formOf({ ...(isScript ? { body_part: "index.js" } : METADATA), bindings })),
    ),
    { numRuns: 300 },
  );
});

test("modules of any name and type are a draft or a refusal", async () => {
  const segment = fc.oneof(
    fc.constantFrom("", ".", "..", "a", "index.js", "__sluice", "__proto__"),
    fc.string({ maxLength: 6 }),
  );
  const name = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  const type = fc.oneof(fc.constantFrom(ESM, "text/plain", "application/wasm"), fc.string({ maxLength: 12 }));
  const part = fc.record({ name, type, content: fc.uint8Array({ maxLength: 8 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 4 }), (parts) => {
      const metadata = { main_module: parts[0]?.name || "index.js" };
      return expectResult(formOf(metadata, parts as Part[]));
    }),
    { numRuns: 300 },
  );
});
