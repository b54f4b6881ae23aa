/** The trust boundary for uploads: from any multipart body to a draft, or a refusal that says what is wrong. */
import { describe, expect, test } from "vitest";
import type { Draft } from "../../src/control/upload/draft.ts";
import type { SluiceError } from "../../src/lib/errors.ts";
import { LIMITS } from "../../src/lib/limits.ts";
import { ASSETS_ONLY_MODULE, SERVICE_WORKER_MODULE } from "../../src/versions/names.ts";
import { ESM, formOf, GOOD, MAIN, METADATA, type Part, send } from "./uploads.ts";

async function read(metadata: object = {}, parts?: readonly Part[]): Promise<Draft> {
  const draft = await send(formOf({ ...METADATA, ...metadata }, parts));
  if (!draft.ok) throw new Error(JSON.stringify(draft.error));
  return draft.value;
}

async function refusalOf(body: BodyInit): Promise<SluiceError> {
  const draft = await send(body);
  if (draft.ok) throw new Error("the upload was accepted");
  return draft.error;
}

/** Checks that such an upload is refused, with all of these words. */
async function expectInvalid(body: BodyInit, ...words: readonly (string | RegExp)[]): Promise<void> {
  const error = await refusalOf(body);
  expect(error.reason).toBe("upload-invalid");
  const { detail } = error as { detail: string };
  for (const each of words) expect(detail).toMatch(each);
}

const invalid = (metadata: object, ...words: readonly (string | RegExp)[]) =>
  expectInvalid(formOf({ ...METADATA, ...metadata }), ...words);

describe("the smallest upload", () => {
  test("is a draft with defaults: it has nothing that it does not name", async () => {
    expect(await send(formOf({ main_module: "index.js" }))).toEqual({
      ok: true,
      value: {
        main_module: "index.js",
        modules: [{ name: "index.js", type: "js", bytes: new TextEncoder().encode(GOOD) }],
        compatibility_date: "2021-11-02",
        compatibility_flags: [],
        bindings: [],
        keep_bindings: [],
        message: null,
        tag: null,
        settings: {},
        migrations: null,
        assets: null,
        alias: null,
      },
    });
  });

  test("may have its metadata in a part with a filename", async () => {
    const form = formOf(METADATA);
    form.set("metadata", new File([JSON.stringify(METADATA)], "metadata.json", { type: "application/json" }));
    expect((await send(form)).ok).toBe(true);
  });

  test("may say more than this release knows", async () => {
    expect(await read({ from_the_future: { a: [1] }, usage_model: "standard" })).toEqual(await read());
  });
});

describe("metadata", () => {
  test.each([0, 2])("is refused where %i parts have its name", async (count) => {
    const form = formOf(METADATA);
    form.delete("metadata");
    for (let i = 0; i < count; i++) form.append("metadata", JSON.stringify(METADATA));
    await expectInvalid(form, `${count} parts named metadata`, "exactly one");
  });

  test.each([
    ["", "JSON"],
    ["{", "JSON"],
    ["[]", "object"],
    ["null", "object"],
    ["7", "object"],
    ['"index.js"', "object"],
  ])("is refused where it is %j", async (metadata, word) => {
    await expectInvalid(formOf(metadata), "metadata: ", new RegExp(word));
  });

  test.each([
    [{ main_module: 7 }, "main_module"],
    [{ main_module: "" }, "main_module"],
    [{ compatibility_date: "yesterday" }, "compatibility_date"],
    [{ compatibility_date: "2026-02-30" }, "compatibility_date"],
    [{ compatibility_flags: "nodejs_compat" }, "compatibility_flags"],
    [{ bindings: {} }, "bindings"],
    [{ bindings: [{ name: "A" }] }, "bindings.0.type"],
    [{ bindings: [{ type: "plain_text", name: "" }] }, "a binding needs a name"],
    [{ bindings: [{ type: "plain_text", text: "x" }] }, "bindings.0.name"],
    [{ keep_bindings: [7] }, "keep_bindings"],
    [{ annotations: { "workers/tag": 7 } }, "workers/tag"],
    [{ annotations: { "workers/alias": "Feature_X" } }, "an alias has"],
    [{ migrations: {} }, "migrations.steps"],
    [{ migrations: { steps: [{ new_sqlite_classes: ["not a class"] }] } }, "name of a class"],
    [{ assets: {} }, "assets.jwt"],
    [{ tags: "a" }, "tags"],
    [{ observability: true }, "observability"],
  ])("is refused, with the field's name, where it has %j", async (metadata, word) => {
    await invalid(metadata, word);
  });

  test("named __proto__ anywhere pollutes no object", async () => {
    await send(formOf('{"main_module":"index.js","__proto__":{"polluted":1}}'));
    await send(formOf('{"main_module":"index.js","observability":{"__proto__":{"polluted":1}}}'));
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe("the main module", () => {
  test("must be named", async () => {
    await expectInvalid(formOf({}), "no main_module");
  });

  test("must be among the parts, which are listed", async () => {
    await invalid({ main_module: "src/main.js" }, '"src/main.js"', "index.js");
    await expectInvalid(formOf(METADATA, []), "none");
  });

  test.each([
    ["application/javascript", "cjs"],
    ["text/plain", "text"],
    ["application/wasm", "wasm"],
  ])("cannot be of type %s", async (type, as) => {
    await expectInvalid(formOf(METADATA, [{ ...MAIN, type }]), `of type ${as}`, ESM);
  });

  test("is found however its path is written", async () => {
    const parts = [{ name: "./src//index.js" }];
    for (const main_module of ["src/index.js", "./src/index.js", "src/./index.js", "src//index.js"]) {
      expect((await read({ main_module }, parts)).main_module).toBe("src/index.js");
    }
  });

  test("cannot be the metadata", async () => {
    await invalid({ main_module: "metadata" }, '"metadata"');
  });
});

describe("modules", () => {
  test.each([
    ["application/javascript+module", "js"],
    ["text/javascript+module", "js"],
    ["application/javascript", "cjs"],
    ["text/javascript", "cjs"],
    ["application/wasm", "wasm"],
    ["text/plain", "text"],
    ["application/octet-stream", "data"],
    ["application/json", "json"],
    ["application/source-map", "sourcemap"],
    ["text/plain; charset=utf-8", "text"],
    ["TEXT/Plain", "text"],
  ])("of type %s are stored as %s, byte by byte", async (type, as) => {
    const content = Uint8Array.from({ length: 256 }, (_, i) => i);
    const { modules } = await read({}, [MAIN, { name: "part", type, content }]);
    expect(modules[1]).toEqual({ name: "part", type: as, bytes: content });
  });

  test.each(["text/x-python", "image/png", "constructor", "__proto__", "javascript"])(
    "of type %j are refused, with the types that can be used",
    async (type) => {
      expect(await refusalOf(formOf(METADATA, [MAIN, { name: "part", type }]))).toMatchObject({
        reason: "unsupported",
        feature: expect.stringContaining('"part"'),
        advice: expect.stringContaining(ESM),
      });
    },
  );

  test.each([
    ...["", "/", "/etc/passwd", "//host/x.js", ".", "..", "./..", "../up.js", "a/../b.js", "a/..", "./../x"],
    ...["__proto__", "a/__proto__", "__proto__/a"],
    ...["__sluice", "__sluice.js", "__sluice_main.js", "./__sluice_client.js", ".//__sluice/x.js"],
  ])("named %j are refused: they would leave the folder, or take a name of Sluice's", async (name) => {
    await expectInvalid(formOf(METADATA, [MAIN, { name }]), `"${name}"`, "relative path");
  });

  test.each(["a/__sluice.js", "_sluice.js", "...", "..a", "a..js", "ä/ö.js", "with space.js", "\\..\\up.js"])(
    "named %j are kept by that name",
    async (name) => {
      const { modules } = await read({}, [MAIN, { name }]);
      expect(modules.map((module) => module.name)).toEqual(["index.js", name]);
    },
  );

  test("with one name, however it is written, are refused", async () => {
    for (const name of ["index.js", "./index.js", ".//index.js"]) {
      await expectInvalid(formOf(METADATA, [MAIN, { name }]), 'two modules are named "index.js"');
    }
  });

  test("must have a filename", async () => {
    const form = formOf(METADATA);
    form.append("stray", "text");
    await expectInvalid(form, '"stray"', "filename");
  });

  test("may be as many as the limit, and no more", async () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `m${i}`, content: "" }));
    const { maxModules } = LIMITS.uploads;
    expect((await read({}, [MAIN, ...many(maxModules - 1)])).modules).toHaveLength(maxModules);
    await expectInvalid(formOf(METADATA, [MAIN, ...many(maxModules)]), `more than ${maxModules} modules`);
  });

  test("may be as large as the limit together, and no larger; the largest are named", async () => {
    const half = LIMITS.uploads.maxVersionBytes / 2;
    const type = "application/octet-stream";
    const rest = new Uint8Array(half - GOOD.length);
    const parts = [MAIN, { name: "half.bin", type, content: new Uint8Array(half) }];
    expect((await read({}, [...parts, { name: "rest.bin", type, content: rest }])).modules).toHaveLength(3);
    const more = new Uint8Array(half - GOOD.length + 1);
    expect(await refusalOf(formOf(METADATA, [...parts, { name: "rest.bin", type, content: more }]))).toEqual({
      reason: "version-too-large",
      detail: expect.stringMatching(
        /24\.0 MiB.*Largest: half\.bin 12\.0 MiB, rest\.bin 12\.0 MiB, index\.js/,
      ),
    });
  });
});

describe("bindings", () => {
  const bind = (binding: object) => invalid({ bindings: [binding] });
  const bindingsOf = async (...bindings: readonly object[]) => (await read({ bindings })).bindings;

  test.each([
    { type: "plain_text", name: "A", text: "" },
    { type: "json", name: "A", json: null },
    { type: "secret_text", name: "A", text: "x" },
    { type: "version_metadata", name: "A" },
    { type: "kv_namespace", name: "A", namespace_id: "abc" },
    { type: "r2_bucket", name: "A", bucket_name: "my-bucket" },
    { type: "d1", name: "A", id: "0f-1" },
    { type: "queue", name: "A", queue_name: "jobs", delivery_delay: 5 },
    { type: "analytics_engine", name: "A", dataset: "clicks" },
    { type: "ratelimit", name: "A", namespace_id: "1", simple: { limit: 5, period: 60 } },
    { type: "durable_object_namespace", name: "A", class_name: "Room" },
    { type: "service", name: "A", service: "auth" },
    { type: "inherit", name: "A" },
    { type: "inherit", name: "A", old_name: "B", version_id: "latest" },
  ])("are read: %j", async (binding) => {
    expect(await bindingsOf(binding)).toEqual([binding]);
  });

  test.each([
    { type: "plain_text", name: "A" },
    { type: "plain_text", name: "A", text: 7 },
    { type: "json", name: "A" },
    { type: "kv_namespace", name: "A", namespace_id: "../other" },
    { type: "kv_namespace", name: "A", namespace_id: "" },
    { type: "r2_bucket", name: "A", bucket_name: "No" },
    { type: "d1", name: "A", id: "a/b" },
    { type: "queue", name: "A", queue_name: "-" },
    { type: "queue", name: "A", queue_name: "jobs", delivery_delay: -1 },
    { type: "ratelimit", name: "A", namespace_id: "1", simple: { limit: 0, period: 60 } },
    { type: "ratelimit", name: "A", namespace_id: "1", simple: { limit: 1, period: 11 } },
    { type: "durable_object_namespace", name: "A", class_name: "a-b" },
    { type: "service", name: "A", service: "" },
    { type: "inherit", name: "A", version_id: "1f2e" },
  ])("are refused by their name where they are not usable: %j", async (binding) => {
    await invalid({ bindings: [binding] }, 'binding "A": ');
  });

  test("of an unknown type are refused by name and type", async () => {
    for (const type of ["vectorize", "toString", "__proto__", "PLAIN_TEXT"]) {
      expect(await refusalOf(formOf({ ...METADATA, bindings: [{ type, name: "A" }] }))).toMatchObject({
        reason: "unsupported",
        feature: `binding "A" of type ${type}`,
      });
    }
  });

  test("cannot share a name, nor be named __proto__", async () => {
    const twin = { type: "plain_text", name: "A", text: "x" };
    await invalid({ bindings: [twin, { ...twin, type: "secret_text" }] }, 'two bindings are named "A"');
    await bind({ ...twin, name: "__proto__" });
  });

  test("of a JSON variable may be nested as deep as the limit, and no deeper", async () => {
    const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
    const withJson = (json: string) =>
      formOf(`{"main_module":"index.js","bindings":[{"type":"json","name":"A","json":${json}}]}`);
    expect((await send(withJson(nested(LIMITS.uploads.maxJsonDepth)))).ok).toBe(true);
    await expectInvalid(withJson(nested(LIMITS.uploads.maxJsonDepth + 2)), 'binding "A"', "nested");
    await expectInvalid(withJson(nested(100_000)), /./);
  });

  test("to keep are passed on as types", async () => {
    expect((await read({ keep_bindings: ["secret_text", "kv_namespace"] })).keep_bindings).toEqual([
      "secret_text",
      "kv_namespace",
    ]);
    expect((await read({ keep_bindings: null })).keep_bindings).toEqual([]);
  });
});

describe("annotations", () => {
  const annotated = (annotations: object) => read({ annotations });

  test("give the draft its message, tag and alias", async () => {
    const draft = await annotated({
      "workers/message": "Fix it",
      "workers/tag": "v1.2",
      "workers/alias": "feature-x",
    });
    expect(draft).toMatchObject({ message: "Fix it", tag: "v1.2", alias: "feature-x" });
  });

  test("that are empty are none", async () => {
    const empty = await annotated({ "workers/message": "", "workers/tag": "" });
    expect(empty).toMatchObject({ message: null, tag: null, alias: null });
    expect(await annotated({ "workers/message": null, "workers/tag": null })).toEqual(empty);
  });

  test("with a message over the limit are cut, with a tag over the limit refused", async () => {
    const { maxMessageBytes, maxTagLength } = LIMITS.uploads;
    const { message } = await annotated({ "workers/message": "é".repeat(maxMessageBytes) });
    expect(message).toBe("é".repeat(maxMessageBytes / 2));
    const tag = "t".repeat(maxTagLength);
    expect((await annotated({ "workers/tag": tag })).tag).toBe(tag);
    await invalid({ annotations: { "workers/tag": `${tag}t` } }, `at most ${maxTagLength}`);
  });
});

describe("migrations", () => {
  test("are passed on as they are", async () => {
    const migrations = {
      old_tag: "v1",
      new_tag: "v2",
      steps: [
        { new_sqlite_classes: ["Room"] },
        { renamed_classes: [{ from: "A", to: "B" }] },
        { deleted_classes: ["C"] },
      ],
    };
    expect((await read({ migrations })).migrations).toEqual(migrations);
  });

  test("from another Worker are refused by name; an empty list of them is not", async () => {
    const steps = (transferred_classes: unknown[]) => ({ migrations: { steps: [{ transferred_classes }] } });
    expect((await read(steps([]))).migrations).toEqual(steps([]).migrations);
    const form = formOf({ ...METADATA, ...steps([{ from: "A", from_script: "b", to: "A" }]) });
    expect(await refusalOf(form)).toMatchObject({
      reason: "unsupported",
      advice: expect.stringContaining("script_name"),
    });
  });
});

describe("a feature that Sluice does not have", () => {
  test.each([
    ["placement", { mode: "smart" }, "placement"],
    ["exports", { Room: {} }, "declarative exports"],
    ["containers", [{ class_name: "A" }], "containers"],
    ["limits", { cpu_ms: 50 }, "CPU limits"],
    ["tail_consumers", [{ service: "a" }], "tail consumers"],
    ["streaming_tail_consumers", [{ service: "a" }], "tail consumers"],
    ["logpush", true, "Logpush"],
  ])("is refused by name: %s", async (field, value, feature) => {
    expect(await refusalOf(formOf({ ...METADATA, [field]: value }))).toMatchObject({
      reason: "unsupported",
      feature: expect.stringContaining(feature),
      advice: expect.stringMatching(/\S/),
    });
  });

  test.each([
    ["placement", null],
    ["containers", []],
    ["tail_consumers", []],
    ["logpush", false],
  ])("may be named without being asked for: %s %j", async (field, value) => {
    expect(await read({ [field]: value })).toEqual(await read());
  });
});

describe("assets", () => {
  const jwt = "ticket";

  test("come with their configuration, or its defaults", async () => {
    expect((await read({ assets: { jwt } })).assets).toEqual({
      ticket: jwt,
      config: {
        html_handling: "auto-trailing-slash",
        not_found_handling: "none",
        base_path: "/",
        run_worker_first: false,
        headers: expect.anything(),
        redirects: expect.anything(),
      },
    });
    const config = { html_handling: "none", base_path: "/docs/", run_worker_first: ["/api/*", "!/api/x"] };
    expect((await read({ assets: { jwt, config } })).assets).toMatchObject({
      config: { ...config, base_path: "/docs" },
    });
  });

  test("make an upload without code a Worker of its own", async () => {
    for (const metadata of [{ assets: { jwt } }, { keep_assets: true }]) {
      const draft = await send(formOf(metadata, []));
      expect(draft).toMatchObject({
        ok: true,
        value: { main_module: ASSETS_ONLY_MODULE, modules: [{ name: ASSETS_ONLY_MODULE, type: "js" }] },
      });
    }
  });

  test("are those of the version before where the upload says so", async () => {
    expect((await read({ keep_assets: true })).assets).toBe("keep");
    expect((await read({ keep_assets: true, assets: { jwt } })).assets).toMatchObject({ ticket: jwt });
  });

  test.each([
    [{ _headers: "X-A: b" }, "_headers"],
    [{ _redirects: "/a /b 999" }, "_redirects"],
    [{ run_worker_first: ["!/a"] }, "run_worker_first"],
  ])("are refused where their rules are wrong: %j", async (config, word) => {
    expect(await refusalOf(formOf({ ...METADATA, assets: { jwt, config } }))).toMatchObject({
      reason: "assets-invalid",
      detail: expect.stringContaining(word),
    });
  });

  test("that are bound to must be there", async () => {
    const bindings = [{ type: "assets", name: "ASSETS" }];
    await invalid({ bindings }, "assets.directory");
    expect((await read({ bindings, keep_assets: true })).bindings).toEqual(bindings);
  });
});

describe("service-worker syntax", () => {
  const script: Part = { name: "worker.js", type: "application/javascript" };

  test("becomes modules, its parts typed by their bindings", async () => {
    const form = formOf(
      {
        body_part: "worker.js",
        bindings: [
          { type: "plain_text", name: "COLOR", text: "red" },
          { type: "text_blob", name: "PAGE", part: "page" },
        ],
      },
      [script, { name: "page", type: "application/octet-stream" }],
    );
    expect(await send(form)).toMatchObject({
      ok: true,
      value: {
        main_module: SERVICE_WORKER_MODULE,
        bindings: [{ name: "COLOR" }],
        modules: [
          { name: "worker.js", type: "cjs" },
          { name: "page", type: "text" },
          { name: expect.stringContaining(SERVICE_WORKER_MODULE) },
          { name: SERVICE_WORKER_MODULE },
        ],
      },
    });
  });

  test("is refused where the script or a part is not there", async () => {
    await expectInvalid(formOf({ body_part: "other.js" }, [script]), '"other.js"');
    const bindings = [{ type: "wasm_module", name: "LIB", part: "lib.wasm" }];
    await expectInvalid(formOf({ body_part: "worker.js", bindings }, [script]), '"LIB"', '"lib.wasm"');
  });

  test("has the only bindings that are parts", async () => {
    const bindings = [{ type: "wasm_module", name: "LIB", part: "index.js" }];
    expect(await refusalOf(formOf({ ...METADATA, bindings }))).toMatchObject({ reason: "unsupported" });
  });
});
