/** Uploads that the API must refuse because they are broken: with a 4xx, in its envelope, with words that help, and without a trace. */
import { describe, expect, test } from "vitest";
import { readEnvelope, type Upload } from "../../support/client.ts";
import { inParallel, sendCarefully } from "../helpers.ts";
import {
  changingNothing,
  expectRefusal,
  expectUploadRefused,
  form,
  GOOD,
  MiB,
  MODULE,
  multipart,
  SCRIPT,
  server,
  useTarget,
} from "./target.ts";

useTarget();

describe("an upload whose body is broken is refused and leaves nothing behind:", () => {
  test("with another boundary than the body's", async () => {
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

  test("with two parts of the same name, in any spelling", async () => {
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

  test("with a module of type JSON that is not JSON", async () => {
    await expectUploadRefused(sources({ "data.json": { content: "{oops", type: "application/json" } }), {
      code: 10021,
      says: [/JSON/],
    });
  });

  test("with a module of type WebAssembly that is not WebAssembly", async () => {
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
