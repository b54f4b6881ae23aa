/** Everything that the API must refuse: with a 4xx, in its envelope, with words that help, and without a trace. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  answering,
  call,
  createDeployment,
  deploy,
  type Reply,
  readEnvelope,
  type Upload,
  uploadForm,
  uploadVersion,
} from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import { answersFor, inParallel, keys, send, sendCarefully, storedBlobs } from "./helpers.ts";

const MiB = 1024 * 1024;
const SCRIPT = "/workers/scripts/target";
const MODULE = "application/javascript+module";
const GOOD = "export default { fetch: () => new Response('this must never serve') };";

let server: Server;
let stable: string;
let candidate: string;
let foreign: string;

beforeAll(async () => {
  server = await startServer();
  stable = await deploy(server, "target", {
    ...answering("stable"),
    metadata: {
      bindings: [
        { type: "plain_text", name: "GREETING", text: "hello" },
        { type: "secret_text", name: "KEPT", text: "secret" },
      ],
    },
  });
  candidate = await uploadVersion(server, "target", answering("candidate"));
  foreign = await deploy(server, "other", answering("other"));
  await createDeployment(server, "target", [
    [stable, 70],
    [candidate, 30],
  ]);
  // Serves alone, so that its secrets could be changed in place.
  await deploy(server, "alone", answering("alone"));
});

afterAll(() => disposeServer(server));

/** Everything that a refused request could have changed. */
async function everything() {
  const read = (path: string) => call(server, "GET", path);
  const [target, other, alone, blobs] = await Promise.all([
    Promise.all(
      ["versions", "deployments", "secrets", "settings", "script-settings", "subdomain"].map((part) =>
        read(`${SCRIPT}/${part}`),
      ),
    ),
    read("/workers/scripts/other/versions"),
    read("/workers/scripts/alone/versions"),
    storedBlobs(server),
  ]);
  return {
    target,
    other,
    alone,
    stored: blobs.map(({ path, content }) => `${path} ${content.length}`),
    answers: [...(await answersFor(server, "target", keys(12)))],
  };
}

/** Runs what must be refused and checks that everything is as it was. */
async function changingNothing<T>(run: () => Promise<T>): Promise<T> {
  const before = await everything();
  const outcome = await run();
  expect(await everything()).toEqual(before);
  return outcome;
}

interface Refusal {
  readonly status?: number;
  readonly code?: number;
  /** Each must occur in the messages. */
  readonly says: readonly (string | RegExp)[];
}

function expectRefusal(reply: Reply, { status = 400, code, says }: Refusal): void {
  const messages = reply.errors.map(({ message }) => message).join("\n");
  expect({ status: reply.status, success: reply.success, result: reply.result }, messages).toEqual({
    status,
    success: false,
    result: null,
  });
  if (code !== undefined) expect(reply.errors.map((error) => error.code)).toEqual([code]);
  for (const words of says) {
    if (typeof words === "string") expect(messages).toContain(words);
    else expect(messages).toMatch(words);
  }
  // A message is for the person who called: nothing of how it is built.
  expect(messages).not.toMatch(/\bat \S+ \(|ZodError|\[object|\[native|SQLITE|file:\/\/|__sluice_main/);
}

interface Body {
  readonly body: FormData | Uint8Array<ArrayBuffer> | string;
  readonly type?: string;
}

/** Sends an upload in the three ways in which one can come: as a version, as a deploy, and to make a Worker. */
async function expectUploadRefused({ body, type }: Body, refusal: Refusal): Promise<void> {
  await changingNothing(async () => {
    for (const [method, path] of [
      ["POST", `${SCRIPT}/versions`],
      ["PUT", SCRIPT],
      ["PUT", "/workers/scripts/never"],
    ] as const) {
      const headers = type === undefined ? {} : { headers: { "Content-Type": type } };
      expectRefusal(await readEnvelope(await server.api(method, path, { body, ...headers })), refusal);
    }
    expectRefusal(await call(server, "GET", "/workers/services/never"), {
      status: 404,
      code: 10007,
      says: ["never"],
    });
    expect((await server.traffic("never")).status).toBe(404);
  });
}

const form = (upload: Upload): Body => ({
  body: uploadForm({ modules: { "index.js": { content: GOOD } }, ...upload }),
});

/** The upload with the bytes that a client would send. */
async function multipart(): Promise<{ bytes: Uint8Array<ArrayBuffer>; type: string; boundary: string }> {
  const whole = new Response(uploadForm({ modules: { "index.js": { content: GOOD } } }));
  const type = whole.headers.get("Content-Type") ?? "";
  const bytes = new Uint8Array(await whole.arrayBuffer());
  return { bytes, type, boundary: /boundary=(.*)$/.exec(type)?.[1] ?? "" };
}

describe("an upload whose body is broken is refused and leaves nothing behind:", () => {
  test("with a boundary that is not the body's", async () => {
    const { bytes } = await multipart();
    await expectUploadRefused(
      { body: bytes, type: "multipart/form-data; boundary=another" },
      { code: 10021, says: [/multipart/i] },
    );
  });

  test("with no boundary", async () => {
    const { bytes } = await multipart();
    await expectUploadRefused(
      { body: bytes, type: "multipart/form-data" },
      { code: 10021, says: [/multipart/i, /boundary/i] },
    );
  });

  test("cut off after any number of bytes", async () => {
    const { bytes, type, boundary } = await multipart();
    const complete = bytes.length - "\r\n".length;
    expect(new TextDecoder().decode(bytes.subarray(0, complete))).toMatch(new RegExp(`--${boundary}--$`));
    const accepted: number[] = [];
    await changingNothing(() =>
      inParallel(8, Array(complete).keys(), async (length) => {
        const init = { body: bytes.slice(0, length), headers: { "Content-Type": type } };
        const reply = await readEnvelope(await server.api("POST", `${SCRIPT}/versions`, init));
        if (reply.success) accepted.push(length);
        else expectRefusal(reply, { code: 10021, says: [/multipart|metadata|main/i] });
      }),
    );
    expect(accepted).toEqual([]);
  });

  test("empty", async () => {
    const { type } = await multipart();
    await expectUploadRefused({ body: new Uint8Array(), type }, { code: 10021, says: [/multipart/i] });
  });

  test("without a Content-Type", async () => {
    const { bytes } = await multipart();
    await expectUploadRefused(
      { body: bytes },
      { code: 10021, says: ["Content-Type", "multipart/form-data"] },
    );
  });

  test("JSON instead of multipart", async () => {
    await expectUploadRefused(
      { body: JSON.stringify({ main_module: "index.js" }), type: "application/json" },
      { code: 10021, says: ["application/json", "multipart/form-data"] },
    );
  });

  test("without the metadata part", async () => {
    const { body } = form({});
    (body as FormData).delete("metadata");
    await expectUploadRefused({ body }, { code: 10021, says: [/0 parts named metadata/, /exactly one/] });
  });

  test("with two metadata parts", async () => {
    const { body } = form({});
    (body as FormData).append("metadata", "{}");
    await expectUploadRefused({ body }, { code: 10021, says: [/2 parts named metadata/, /exactly one/] });
  });

  test.each(["", "{", "main_module: index.js", "[]", "null", "7", '"index.js"', '{"main_module":7}'])(
    "with metadata that is %j",
    async (metadata) => {
      const { body } = form({});
      (body as FormData).set("metadata", metadata);
      await expectUploadRefused({ body }, { code: 10021, says: [/metadata/, /JSON|object|string/i] });
    },
  );
});

describe("an upload whose modules are not usable is refused and leaves nothing behind:", () => {
  const sources = (modules: NonNullable<Upload["modules"]>) =>
    form({ modules: { "index.js": { content: GOOD }, ...modules } });

  test("without a main_module", async () => {
    await expectUploadRefused(form({ metadata: { main_module: undefined } }), {
      code: 10021,
      says: ["main_module"],
    });
  });

  test("with a main_module that is not among the parts", async () => {
    await expectUploadRefused(form({ metadata: { main_module: "src/main.js" } }), {
      code: 10021,
      says: ["src/main.js", "index.js"],
    });
  });

  test("with no modules at all", async () => {
    await expectUploadRefused(form({ modules: {} }), { code: 10021, says: ["index.js", "none"] });
  });

  test("with a CommonJS main module", async () => {
    const modules = { "index.js": { content: "module.exports = {};", type: "application/javascript" } };
    await expectUploadRefused(form({ modules }), { code: 10021, says: ["index.js", "cjs", MODULE] });
  });

  test.each([
    "../up.js",
    "a/../../up.js",
    "lib/../index.js",
    "/etc/passwd",
    "//host/x.js",
    "..",
    ".",
    "__sluice.js",
    "./__sluice/x.js",
  ])("with a module named %j", async (name) => {
    await expectUploadRefused(sources({ [name]: { content: GOOD } }), {
      code: 10021,
      says: [`"${name}"`, "relative path"],
    });
  });

  test("with two parts of the same name, however it is spelled", async () => {
    for (const twin of ["index.js", "./index.js"]) {
      const { body } = form({});
      (body as FormData).append(twin, new File([GOOD], "twin.js", { type: MODULE }));
      await expectUploadRefused({ body }, { code: 10021, says: ["two modules", "index.js"] });
    }
  });

  test.each([
    "text/x-ruby",
    "application/x-unheard-of",
    "image/png",
    "text/x-python",
    "text/x-python-requirement",
    "constructor",
  ])("with a module of type %s", async (type) => {
    await expectUploadRefused(sources({ "lib/part": { content: "x", type } }), {
      code: 10021,
      says: ["lib/part", type, MODULE],
    });
  });

  test("with a Python main module", async () => {
    const modules = { "index.py": { content: "def on_fetch(request): pass", type: "text/x-python" } };
    await expectUploadRefused(form({ modules, metadata: { main_module: "index.py" } }), {
      code: 10021,
      says: ["index.py", "text/x-python", MODULE],
    });
  });

  test("with a part that has no filename", async () => {
    const { body } = form({});
    (body as FormData).append("stray", "text");
    await expectUploadRefused({ body }, { code: 10021, says: ["stray", "filename", "Content-Type"] });
  });

  test("with more modules than a version may have", async () => {
    const modules = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`m${i}.js`, { content: "" }]));
    await expectUploadRefused(sources(modules), { code: 10021, says: ["2000 modules"] });
  });

  test("with a module that says it is JSON and is not", async () => {
    await expectUploadRefused(sources({ "data.json": { content: "{oops", type: "application/json" } }), {
      code: 10021,
      says: [/JSON/],
    });
  });

  test("with a module that says it is WebAssembly and is not", async () => {
    const modules = {
      "index.js": { content: `import wasm from "./x.wasm"; ${GOOD}` },
      "x.wasm": { content: "not wasm", type: "application/wasm" },
    };
    await expectUploadRefused(sources(modules), { code: 10021, says: [/wasm/i] });
  });

  test("with 30 MB of code: code 10027, and the largest module by name", async () => {
    const content = new Uint8Array(30 * 1000 * 1000).fill(0x20);
    await expectUploadRefused(sources({ "big.bin": { content, type: "application/octet-stream" } }), {
      status: 413,
      code: 10027,
      says: ["big.bin", /28\.6 MiB/, "24.0 MiB"],
    });
  });

  test("with a body of more than 100 MiB, announced or not: code 10027", async () => {
    const { bytes, type, boundary } = await multipart();
    const head = [
      Buffer.from(bytes.subarray(0, bytes.length - `--${boundary}--\r\n`.length)).toString(),
      `--${boundary}\r\nContent-Disposition: form-data; name="big.bin"; filename="big.bin"\r\n`,
      "Content-Type: application/octet-stream\r\n\r\n",
    ].join("");
    const chunk = Buffer.alloc(MiB, 0x20);
    function* body() {
      yield Buffer.from(head);
      for (let sent = 0; sent < 100; sent++) yield chunk;
    }
    for (const announced of [head.length + 100 * MiB, undefined]) {
      const reply = await changingNothing(() =>
        sendCarefully(
          server.controlPort,
          "PUT",
          `/client/v4/accounts/sluice${SCRIPT}`,
          {
            Authorization: "Bearer token-for-the-tests",
            "Content-Type": type,
            ...(announced === undefined
              ? { "Transfer-Encoding": "chunked" }
              : { "Content-Length": String(announced) }),
          },
          body(),
        ),
      );
      expectRefusal(await readEnvelope(reply), { status: 413, code: 10027, says: [/100 MiB/] });
    }
  });
});

describe("an upload that asks for what this release does not have is refused by name:", () => {
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
  ])("bindings that are none: %j", async (list, says) => {
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
    "a preview alias that is no part of a hostname: %s",
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

  test("a JSON variable nested so deep that nothing could read it", async () => {
    const { body } = form({});
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const bound = `{"main_module":"index.js","bindings":[{"type":"json","name":"DEEP","json":${deep}}]}`;
    (body as FormData).set("metadata", bound);
    await expectUploadRefused({ body }, { says: [/DEEP|metadata|nested|deep/] });
  });
});

describe("an upload that does not start is refused with what stopped it, and leaves nothing behind:", () => {
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

  test("because it throws what is no error", async () => {
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

  test("because it waits for ever", async () => {
    await expectUploadRefused(main(`await new Promise(() => {});\n${GOOD}`), {
      code: 10021,
      says: [/await/],
    });
  });

  test("because it calls somebody at its top level", async () => {
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
  ])("because it exports %s, which the runtime does not take", async (_, content) => {
    await expectUploadRefused(main(content), { code: 10021, says: [/export|entry|version|limit/i] });
  });

  // Each takes as long as the deadline for the start of an upload.
  test.each([
    ["loops for ever", "for (;;) {}"],
    ["fills the memory", "const all = []; for (let i = 0; ; i++) all.push([i, String(i)]);"],
  ])("because it %s, while traffic and the API go on and the next upload works", async (_, statement) => {
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
  });
});

describe("a deployment that is not valid is refused and changes nothing:", () => {
  const create = (body: string | object): Promise<Reply> =>
    changingNothing(async () =>
      readEnvelope(
        await server.api("POST", `${SCRIPT}/deployments`, {
          body: typeof body === "string" ? body : JSON.stringify(body),
          headers: { "Content-Type": "application/json" },
        }),
      ),
    );
  const split = (first: unknown, second: unknown) => ({
    strategy: "percentage",
    versions: [
      { version_id: stable, percentage: first },
      { version_id: candidate, percentage: second },
    ],
  });
  const UNKNOWN = "00000000-0000-4000-8000-000000000000";

  test("with the same version twice", async () => {
    const versions = [50, 50].map((percentage) => ({ version_id: stable, percentage }));
    expectRefusal(await create({ strategy: "percentage", versions }), { says: [stable, /twice/, /once/] });
  });

  test("with a percentage that is written NaN", async () => {
    const body = JSON.stringify(split(50, 50)).replace('"percentage":50', '"percentage":NaN');
    expectRefusal(await create(body), { says: [/JSON/] });
  });

  test.each([
    [-1, 101, /between 0 and 100/],
    [-0.001, 100, /between 0 and 100/],
    [100.001, 0, /between 0 and 100/],
    [1e300, 0, /between 0 and 100/],
    [33.3333, 66.6667, /three decimals/],
    [99.9999, 0.0001, /three decimals/],
    [50, 49.99, /add up to 99\.99;.*100/],
    [50, 50.01, /add up to 100\.01;.*100/],
    [0, 0, /add up to 0;.*100/],
    [100, 100, /add up to 200;.*100/],
    ["50", "50", /versions\.0\.percentage/],
    [null, 100, /versions\.0\.percentage/],
    [[100], 0, /versions\.0\.percentage/],
    [true, 99, /versions\.0\.percentage/],
    [undefined, 100, /versions\.0\.percentage/],
  ])("with the percentages %j and %j", async (first, second, says) => {
    expectRefusal(await create(split(first, second)), { says: [says] });
  });

  test("with three versions", async () => {
    const versions = [stable, candidate, foreign].map((version_id) => ({ version_id, percentage: 33.333 }));
    expectRefusal(await create({ strategy: "percentage", versions }), {
      says: [/one or two versions, not 3/],
    });
  });

  test("with no version", async () => {
    expectRefusal(await create({ strategy: "percentage", versions: [] }), { says: [/at least one version/] });
  });

  test.each([
    "versions is missing",
    "{}",
    "[]",
    "null",
    "",
    "{",
    '{"versions":{}}',
    '{"versions":[null]}',
    '{"versions":["x"]}',
  ])("with the body %j", async (body) => {
    expectRefusal(await create(body), { code: 9207, says: [/JSON|versions|object/] });
  });

  test("with a version that does not exist", async () => {
    const versions = [{ version_id: UNKNOWN, percentage: 100 }];
    expectRefusal(await create({ strategy: "percentage", versions }), {
      status: 404,
      says: [UNKNOWN, /versions list/],
    });
  });

  test("with a version of another Worker, even at 0%", async () => {
    for (const percentage of [100, 0]) {
      const versions = [
        { version_id: foreign, percentage },
        { version_id: stable, percentage: 100 - percentage },
      ];
      expectRefusal(await create({ strategy: "percentage", versions }), { status: 404, says: [foreign] });
    }
  });

  test.each(["", 7, null])("with the version id %j", async (version_id) => {
    expectRefusal(await create({ versions: [{ version_id, percentage: 100 }] }), { says: [/version_id/] });
  });

  test.each(["immediate", "", 7])("with the strategy %j", async (strategy) => {
    expectRefusal(await create({ ...split(50, 50), strategy }), { says: [/strategy/, /percentage/] });
  });

  test("of a Worker that does not exist", async () => {
    const path = "/workers/scripts/nobody/deployments";
    const versions = [{ version_id: stable, percentage: 100 }];
    expectRefusal(await changingNothing(() => call(server, "POST", path, { versions })), {
      status: 404,
      code: 10007,
      says: ["nobody", "wrangler deploy"],
    });
  });
});

describe("a change of secrets that is not valid is refused and changes nothing:", () => {
  const text = (method: string, path: string, body: string) =>
    changingNothing(async () => readEnvelope(await server.api(method, path, { body })));

  test.each([
    "",
    "{",
    "[]",
    "null",
    '"KEPT"',
    "{}",
    '{"name":"A"}',
    '{"text":"x"}',
    '{"name":"","text":"x"}',
  ])("one with the body %j", async (body) => {
    expectRefusal(await text("PUT", "/workers/scripts/alone/secrets", body), {
      code: 9207,
      says: [/JSON|name|text|object/],
    });
  });

  test.each([
    [{ name: 7, text: "x" }, /name/],
    [{ name: "A", text: 7 }, /text/],
    [{ name: "A", text: null }, /text/],
    [{ name: "A", text: "x", type: "secret_key" }, /secret_text/],
  ])("one with the body %j", async (body, says) => {
    expectRefusal(await text("PUT", "/workers/scripts/alone/secrets", JSON.stringify(body)), {
      code: 9207,
      says: [says],
    });
  });

  test.each([
    ["{}", /secrets/],
    ['{"secrets":[]}', /secrets/],
    ['{"secrets":"A"}', /secrets/],
    ['{"secrets":{"A":"x"}}', /A/],
    ['{"secrets":{"A":{"text":7}}}', /A/],
    ['{"secrets":{"A":{"type":"plain_text","text":"x"}}}', /secret_text/],
    ['{"secrets":{"":{"text":"x"}}}', /name/],
  ])("many with the body %j", async (body, says) => {
    expectRefusal(await text("PATCH", "/workers/scripts/alone/secrets-bulk", body), {
      code: 9207,
      says: [says],
    });
  });

  test("101 at once", async () => {
    const secrets = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`S${i}`, { text: "x" }]));
    const reply = await text("PATCH", "/workers/scripts/alone/secrets-bulk", JSON.stringify({ secrets }));
    expectRefusal(reply, { code: 9207, says: ["100"] });
  });

  test("one of more than 1 MiB", async () => {
    const body = JSON.stringify({ name: "BIG", text: "x".repeat(MiB) });
    expectRefusal(await text("PUT", "/workers/scripts/alone/secrets", body), { says: [/limit/] });
  });

  test("the deletion of one that is not there, alone or among others", async () => {
    const alone = "/workers/scripts/alone";
    const one = await changingNothing(() => call(server, "DELETE", `${alone}/secrets/NOPE`));
    expectRefusal(one, { status: 404, code: 10056, says: ["NOPE"] });
    const many = { secrets: { FINE: { type: "secret_text", text: "x" }, NOPE: null } };
    const bulk = await changingNothing(() => call(server, "PATCH", `${alone}/secrets-bulk`, many));
    expectRefusal(bulk, { status: 404, code: 10056, says: ["NOPE"] });
  });

  test("of a Worker whose latest version does not serve alone: code 10215", async () => {
    const reply = await changingNothing(() =>
      call(server, "PUT", `${SCRIPT}/secrets`, { name: "A", text: "x", type: "secret_text" }),
    );
    expectRefusal(reply, { code: 10215, says: ["target", "wrangler versions secret"] });
  });

  test.each(["{}", '{"env":7}', '{"env":{"A":"x"}}', '{"env":{"A":{"type":"json","text":"x"}}}', "", "["])(
    "in a new version, with the patch %j",
    async (body) => {
      const reply = await text("PATCH", "/workers/workers/alone/versions/latest", body);
      expectRefusal(reply, { code: 9207, says: [/env|JSON/] });
    },
  );
});

describe("settings that are not there, or not valid, are refused and change nothing:", () => {
  test.each([
    ["POST", `${SCRIPT}/subdomain`, {}, /enabled/],
    ["POST", `${SCRIPT}/subdomain`, { enabled: "yes" }, /enabled/],
    ["POST", `${SCRIPT}/subdomain`, { enabled: true, previews_enabled: "yes" }, /previews_enabled/],
    ["PATCH", `${SCRIPT}/script-settings`, { logpush: true }, /Logpush/],
    ["PATCH", `${SCRIPT}/script-settings`, { tags: "a" }, /tags/],
    ["PATCH", `${SCRIPT}/script-settings`, { tail_consumers: [{ service: "x" }] }, /tail consumers/],
    ["PUT", `${SCRIPT}/schedules`, [{ cron: "61 * * * *" }], /"61 \* \* \* \*" is not valid/],
    ["PUT", `${SCRIPT}/schedules`, [{ cron: "* * * * *" }, { cron: "0 0 30 2 *" }], /never fires/],
    ["PUT", `${SCRIPT}/schedules`, { cron: "* * * * *" }, /array/],
    ["PUT", `${SCRIPT}/routes`, [{ pattern: "example.com/*/x" }], /has a \* in its middle/],
    ["PUT", `${SCRIPT}/routes`, [{}], /pattern/],
    ["PUT", `${SCRIPT}/domains/records`, { origins: [{ hostname: "*.example.com" }] }, /no hostname/],
    ["POST", `${SCRIPT}/tails`, { filters: [{ sampling_rate: 2 }] }, /filters/],
    ["POST", `${SCRIPT}/tails`, { filters: [{ client_ip: ["self"] }] }, /--address-header/],
    ["PUT", `${SCRIPT}/affinity`, { sources: [{ type: "header", name: "a b" }] }, /name of a header/],
    ["PUT", `${SCRIPT}/affinity`, { sources: [{ type: "issued_cookie" }, { type: "address" }] }, /last one/],
    ["PUT", `${SCRIPT}/affinity`, { sources: [{ type: "magic" }] }, /type/],
    ["PATCH", `${SCRIPT}/options`, { retention: { versions: 1.5, hours: 1 } }, /versions/],
    ["PATCH", `${SCRIPT}/options`, { protect: "on" }, /protect/],
  ])("%s %s %j", async (method, path, body, says) => {
    expectRefusal(await changingNothing(() => call(server, method, path, body)), { says: [says] });
  });
});

describe("an address of the API that is not there is refused:", () => {
  const raw = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const answer = await send({
      port: server.controlPort,
      method,
      path,
      headers: { Authorization: "Bearer token-for-the-tests", ...headers },
    });
    return readEnvelope(new Response(answer.body.toString(), { status: answer.status }));
  };
  const ACCOUNT = "/client/v4/accounts/sluice";

  test.each([
    "Target",
    "my.worker",
    "-dash",
    "with%20space",
    "a%2Fb",
    "%2e%2e%2fother",
    "x".repeat(64),
    "w%00",
    "w%C3%B6rker",
    "%zz",
  ])("the Worker name %s", async (name) => {
    for (const [method, path] of [
      ["GET", `workers/scripts/${name}/versions`],
      ["POST", `workers/scripts/${name}/deployments`],
      ["PUT", `workers/scripts/${name}`],
      ["GET", `workers/services/${name}`],
      ["GET", `workers/workers/${name}`],
      ["DELETE", `workers/services/${name}`],
    ] as const) {
      const reply = await changingNothing(() => raw(method, `${ACCOUNT}/${path}`));
      expectRefusal(reply, { code: 10016, says: [/cannot be the name of a Worker/, /lower-case letters/] });
    }
  });

  test.each(["GET", "PUT", "DELETE"])("an account that is not this one, with %s", async (method) => {
    const path = "/client/v4/accounts/0123456789abcdef/workers/scripts/target";
    const reply = await changingNothing(() => raw(method, path));
    expectRefusal(reply, { status: 404, code: 7003, says: [/unknown account/] });
  });

  test.each([
    "/client/v4",
    "/client/v4/nothing",
    "/client/v3/accounts",
    `${ACCOUNT}/workers`,
    `${ACCOUNT}/workers/scripts/target/nothing`,
    `${ACCOUNT}/workers/scripts/target/versions/1/2`,
    `${ACCOUNT}/pages/projects`,
  ])("GET %s", async (path) => {
    expectRefusal(await raw("GET", path), { status: 404, code: 7003, says: [`GET ${path}`] });
  });

  test.each([
    ["GET", "workflows/one", /workflows/],
    ["POST", "d1/database/one/export", /exporting D1 databases/],
  ])(
    "%s of %s, which belongs to something that this release does not have, by its name",
    async (method, path, says) => {
      const reply = await changingNothing(() => raw(method, `${ACCOUNT}/${path}`));
      expectRefusal(reply, { code: 10021, says: [/does not support/, says, /remove|read/] });
    },
  );

  test.each([
    ["DELETE", "workers/scripts/target"],
    ["PATCH", "workers/scripts/target"],
    ["POST", "workers/scripts/target"],
    ["DELETE", "workers/scripts/target/versions"],
    ["PUT", "workers/scripts/target/versions"],
    ["PATCH", "workers/scripts/target/versions/x"],
    ["DELETE", "workers/scripts/target/versions/x"],
    ["PUT", "workers/scripts/target/deployments"],
    ["DELETE", "workers/scripts/target/deployments/x"],
    ["POST", "workers/scripts/target/secrets"],
    ["POST", "workers/services/target"],
  ])("the method %s of %s", async (method, path) => {
    const reply = await changingNothing(() => raw(method, `${ACCOUNT}/${path}`));
    expectRefusal(reply, { status: 404, code: 7003, says: [`${method} `] });
  });

  test("a version, a deployment and a Worker that do not exist, each by its name", async () => {
    const version = await call(server, "GET", `${SCRIPT}/versions/${foreign}`);
    expectRefusal(version, { status: 404, says: [foreign, "target"] });
    const deployment = await call(server, "GET", `${SCRIPT}/deployments/${foreign}`);
    expectRefusal(deployment, { status: 404, says: [foreign, "target"] });
    for (const path of ["versions", "deployments", "secrets", "settings", "subdomain", "explain?key=k"]) {
      const reply = await call(server, "GET", `/workers/scripts/nobody/${path}`);
      expectRefusal(reply, { status: 404, code: 10007, says: ["nobody", "wrangler deploy"] });
    }
    const removal = await changingNothing(() => call(server, "DELETE", "/workers/services/nobody"));
    expectRefusal(removal, { status: 404, code: 10007, says: ["nobody"] });
  });

  test("an explanation without a key", async () => {
    expectRefusal(await call(server, "GET", `${SCRIPT}/explain`), { says: [/\?key=/] });
  });
});

test("a refusal reaches a client that is still sending its upload, as wrangler's does", async () => {
  const lost: string[] = [];
  await changingNothing(async () => {
    for (const [why, status, path, token] of [
      ["a wrong token", 401, `/accounts/sluice${SCRIPT}`, "wrong"],
      ["an unknown account", 404, `/accounts/another${SCRIPT}`, "token-for-the-tests"],
      ["an invalid name", 400, "/accounts/sluice/workers/scripts/No", "token-for-the-tests"],
      [
        "no Worker of that name",
        404,
        "/accounts/sluice/workers/scripts/nobody/versions",
        "token-for-the-tests",
      ],
    ] as const) {
      for (const size of [100, 100_000, 5 * MiB]) {
        const method = path.endsWith("/versions") ? "POST" : "PUT";
        const modules = { "index.js": { content: "/".repeat(size) } };
        const init = { method, headers: { Authorization: `Bearer ${token}` }, body: uploadForm({ modules }) };
        await fetch(`${server.control}/client/v4${path}`, init).then(
          (response) => expect(response.status).toBe(status),
          (error) => lost.push(`${why}, ${size} bytes: ${error.cause ?? error}`),
        );
      }
    }
  });
  expect(lost).toEqual([]);
});

describe("a caller without the right token is refused and changes nothing:", () => {
  const attempt = async (method: string, path: string, headers: Record<string, string>) => {
    const { bytes, type } = await multipart();
    const typed = method === "PUT" ? { "Content-Type": type, "Content-Length": String(bytes.length) } : {};
    const body = method === "PUT" ? [Buffer.from(bytes)] : [];
    const all = { ...headers, ...typed };
    return readEnvelope(await sendCarefully(server.controlPort, method, `/client/v4${path}`, all, body));
  };

  test.each([
    ["no token", {}, /Authorization: Bearer/],
    ["a wrong token", { Authorization: "Bearer not-the-token" }, /not valid/],
    ["a prefix of the token", { Authorization: "Bearer token-for-the-test" }, /not valid/],
    ["more than the token", { Authorization: "Bearer token-for-the-tests2" }, /not valid/],
    ["the token in capitals", { Authorization: "Bearer TOKEN-FOR-THE-TESTS" }, /not valid/],
    ["an empty token", { Authorization: "Bearer " }, /Bearer <token>/],
    ["another scheme", { Authorization: "Basic dG9rZW4tZm9yLXRoZS10ZXN0cw==" }, /Bearer <token>/],
    [
      "an API key",
      { "X-Auth-Key": "token-for-the-tests", "X-Auth-Email": "a@b" },
      /API keys are not accepted/,
    ],
  ])("with %s", async (_, headers, says) => {
    await changingNothing(async () => {
      for (const [method, path] of [
        ["GET", "/user/tokens/verify"],
        ["GET", "/accounts"],
        ["GET", `/accounts/sluice${SCRIPT}/versions`],
        ["PUT", `/accounts/sluice${SCRIPT}`],
        ["PUT", "/accounts/sluice/workers/scripts/never"],
        ["DELETE", "/accounts/sluice/workers/services/target"],
        ["GET", "/accounts/another/workers/scripts/target/versions"],
        ["GET", "/nothing"],
      ] as const) {
        const reply = await attempt(method, path, headers as Record<string, string>);
        expectRefusal(reply, { status: 401, code: 10000, says: [/^Authentication error: /, says] });
      }
    });
  });

  test("and the token is never part of an answer", async () => {
    const reply = await attempt("GET", "/user", { Authorization: "Bearer not-the-token" });
    expect(JSON.stringify(reply)).not.toMatch(/token-for-the-tests|not-the-token/);
  });
});
