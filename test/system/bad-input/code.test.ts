/** Uploads that the API must refuse because of what they ask for, or because their code does not start. */
import { describe, expect, test } from "vitest";
import { call, deploy, readEnvelope } from "../../support/client.ts";
import {
  changingNothing,
  expectRefusal,
  expectUploadRefused,
  form,
  GOOD,
  MiB,
  SCRIPT,
  server,
  useTarget,
} from "./target.ts";

useTarget();

describe("an upload that needs a feature that this release does not have is refused by its name:", () => {
  const bindings = (...list: Record<string, unknown>[]) => form({ metadata: { bindings: list } });

  test.each([
    "ai",
    "ai_search",
    "browser",
    "browser_rendering",
    "data_blob",
    "dispatch_namespace",
    "hyperdrive",
    "images",
    "logfwdr",
    "mtls_certificate",
    "pipelines",
    "secret_key",
    "secrets_store_secret",
    "send_email",
    "tail_consumer",
    "text_blob",
    "unsafe",
    "vectorize",
    "wasm_module",
    "workflow",
    "constructor",
    "__proto__",
  ])("a binding of type %s", async (type) => {
    await expectUploadRefused(bindings({ type, name: "MINE", id: "x", namespace_id: "x" }), {
      code: 10021,
      says: ["MINE", new RegExp(`type ${type}\\b`), /remove|store|instead/],
    });
  });

  test("two bindings of the same name", async () => {
    await expectUploadRefused(
      bindings({ type: "plain_text", name: "TWICE", text: "1" }, { type: "json", name: "TWICE", json: 2 }),
      { code: 10021, says: ["TWICE", "two bindings"] },
    );
  });

  test.each([
    [{ type: "plain_text", name: "A" }, /text/],
    [{ type: "plain_text", name: "A", text: 7 }, /text/],
    [{ type: "secret_text", name: "A", text: null }, /text/],
    [{ type: "json", name: "A" }, /json/],
    [{ type: "inherit", name: "A", version_id: "5b0f1f8e-9d5c-4a7a-9a3e-000000000000" }, /latest/],
  ])("a binding that lacks a value: %j", async (binding, says) => {
    await expectUploadRefused(bindings(binding), { code: 10021, says: ['"A"', says] });
  });

  test.each([
    [[{ name: "A", text: "x" }], /type/],
    [[{ type: "plain_text", text: "x" }], /name/],
    [[{ type: "plain_text", name: "", text: "x" }], /name/],
    [["A"], /bindings\.0/],
    [{ A: "x" }, /bindings/],
  ])("bindings that are not valid: %j", async (list, says) => {
    await expectUploadRefused(form({ metadata: { bindings: list } }), { code: 10021, says: [says] });
  });

  test("a binding inherited from a version that does not have it: code 10057", async () => {
    await expectUploadRefused(bindings({ type: "inherit", name: "NOWHERE" }), {
      code: 10057,
      says: ["NOWHERE", /Set it first/],
    });
  });

  test.each([
    ["exports", { Room: { type: "durable-object" } }, /declarative exports/],
    [
      "migrations",
      { new_tag: "v1", steps: [{ transferred_classes: [{ from: "A", from_script: "b", to: "A" }] }] },
      /transferring Durable Object classes/,
    ],
    ["limits", { cpu_ms: 50 }, /CPU limits/],
    ["placement", { mode: "smart" }, /placement/],
    ["containers", [{ class_name: "Room" }], /containers/],
    ["logpush", true, /Logpush/],
    ["tail_consumers", [{ service: "log" }], /tail consumers/],
    ["streaming_tail_consumers", [{ service: "log" }], /tail consumers/],
  ])("%s", async (field, value, says) => {
    await expectUploadRefused(form({ metadata: { [field]: value } }), {
      code: 10021,
      says: [/does not support/, says],
    });
  });

  test.each(["Staging", "1st", "a_b", "-a", "a-"])(
    "a preview alias that cannot be part of a hostname: %s",
    async (alias) => {
      await expectUploadRefused(form({ metadata: { annotations: { "workers/alias": alias } } }), {
        code: 10021,
        says: [/an alias has lower-case letters, digits and -/],
      });
    },
  );

  test("an unknown compatibility flag", async () => {
    await expectUploadRefused(form({ metadata: { compatibility_flags: ["no_such_flag_exists"] } }), {
      code: 10021,
      says: ["no_such_flag_exists", /compatibility flag/i],
    });
  });

  test.each([
    ["yesterday", /date/],
    ["2026-13-40", /date/],
    ["9999-01-01", /9999-01-01/],
  ])("compatibility date %s", async (date, says) => {
    await expectUploadRefused(form({ metadata: { compatibility_date: date } }), {
      code: 10021,
      says: [says, /date/i],
    });
  });

  test("a tag of 101 characters", async () => {
    await expectUploadRefused(form({ metadata: { annotations: { "workers/tag": "t".repeat(101) } } }), {
      code: 10021,
      says: ["workers/tag", "100"],
    });
  });

  test("variables of more than 1 MiB together", async () => {
    const half = { type: "plain_text", text: "x".repeat(MiB / 2) };
    await expectUploadRefused(bindings({ ...half, name: "A" }, { ...half, name: "B" }), {
      code: 10021,
      says: [/variables/, /limit/],
    });
  });

  test("a JSON variable nested too deep to be read", async () => {
    const { body } = form({});
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const bound = `{"main_module":"index.js","bindings":[{"type":"json","name":"DEEP","json":${deep}}]}`;
    (body as FormData).set("metadata", bound);
    await expectUploadRefused({ body }, { says: [/DEEP|metadata|nested|deep/] });
  });
});

describe("an upload that does not start is refused with the cause, and leaves nothing behind:", () => {
  const main = (content: string) =>
    form({ modules: { "src/index.js": { content } }, metadata: { main_module: "src/index.js" } });

  test("because it throws", async () => {
    const refusal = { code: 10021, says: ["the database is not there", /src\/index\.js:2/] };
    await expectUploadRefused(
      main(`const x = 1;\nthrow new Error("the database is not there");\n${GOOD}`),
      refusal,
    );
  });

  test("because it rejects", async () => {
    await expectUploadRefused(main(`await Promise.reject(new TypeError("no luck"));\n${GOOD}`), {
      code: 10021,
      says: ["no luck"],
    });
  });

  test("because it throws something that is not an error", async () => {
    await expectUploadRefused(main(`throw null;\n${GOOD}`), { code: 10021, says: [/\S/] });
  });

  test("because of a syntax error", async () => {
    await expectUploadRefused(main(`const fine = 1;\nexport default { fetch( };`), {
      code: 10021,
      says: ["SyntaxError", /src\/index\.js:2/],
    });
  });

  test("because it imports a module that was not uploaded", async () => {
    await expectUploadRefused(main(`import "./missing.js";\n${GOOD}`), {
      code: 10021,
      says: ["missing.js", /not found|no such module/i],
    });
  });

  test("because it imports a name that the module does not export", async () => {
    const modules = {
      "index.js": { content: `import { nothing } from "./lib.js"; nothing(); ${GOOD}` },
      "lib.js": { content: "export const something = 1;" },
    };
    await expectUploadRefused(form({ modules }), { code: 10021, says: ["nothing", "lib.js"] });
  });

  test("because it waits forever", async () => {
    await expectUploadRefused(main(`await new Promise(() => {});\n${GOOD}`), {
      code: 10021,
      says: [/await/],
    });
  });

  test("because it sends a request at its top level", async () => {
    await expectUploadRefused(
      main(`await fetch("http://127.0.0.1:${server.controlPort}/healthz");\n${GOOD}`),
      {
        code: 10021,
        says: [/global scope/i],
      },
    );
  });

  test.each([
    ["a text", `export const version = "1.0"; ${GOOD}`],
    ["a number", `export const limit = 7; ${GOOD}`],
    ["a number by default", "export default 7;"],
    ["a text by default", 'export default "a page";'],
    ["null by default", "export default null;"],
  ])("because it exports %s, which the runtime does not accept", async (_, content) => {
    await expectUploadRefused(main(content), { code: 10021, says: [/export|entry|version|limit/i] });
  });

  // Each takes as long as the deadline for the start of an upload.
  test.each([
    ["loops for ever", "for (;;) {}"],
    ["fills the memory", "const all = []; for (let i = 0; ; i++) all.push([i, String(i)]);"],
  ])(
    "because it %s, while traffic and the API keep working, and so does the next upload",
    async (_, statement) => {
      const started = `export default { fetch: () => new Response("good again") };`;
      await changingNothing(async () => {
        let done = false;
        const { body } = main(`${statement}\n${GOOD}`);
        const refused = server.api("PUT", SCRIPT, { body }).finally(() => {
          done = true;
        });
        let rounds = 0;
        while (!done) {
          const [answer, versions] = await Promise.all([
            server.traffic("target"),
            call(server, "GET", `${SCRIPT}/versions`),
          ]);
          expect([answer.status, versions.status]).toEqual([200, 200]);
          rounds++;
        }
        expect(rounds).toBeGreaterThan(1);
        expectRefusal(await readEnvelope(await refused), { code: 10021, says: [/start/i] });
      });
      const good = `good-${statement.length}`;
      await deploy(server, good, { modules: { "index.js": { content: started } } });
      expect((await server.traffic(good)).body).toBe("good again");
    },
  );
});
