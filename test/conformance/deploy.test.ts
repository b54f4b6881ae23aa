/** `wrangler deploy`, `triggers deploy` and `delete`. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer } from "../support/server.ts";
import {
  activeSplit,
  answer,
  COMPATIBILITY_DATE,
  configuration,
  deploymentsOf,
  ENV_WORKER,
  expectNotServed,
  fail,
  idAfter,
  leavesAlone,
  succeed,
  succeeded,
  textOf,
  useProject,
  versionsOf,
} from "./project.ts";
import { useRecorder } from "./recorder.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

describe("deploy", () => {
  test("the first one creates the Worker, with one version at 100%, and serves it at once", async () => {
    const project = await useProject(server, "first", { code: answer("one") });
    await expectNotServed(server, "first");

    const output = await succeed(project, "deploy", "--message", "hello world", "--tag", "v1");

    expect(output).toMatch(/Worker Startup Time: \d+ ms/);
    expect(output).toContain("Uploaded first");
    expect(output).toContain("Deployed first triggers");
    expect(output).toContain("first.localhost");
    const id = idAfter("Current Version ID", output);
    expect(await textOf(server, "first")).toBe("one");
    expect(await versionsOf(server, "first")).toEqual([
      expect.objectContaining({
        id,
        number: 1,
        annotations: {
          "workers/triggered_by": "upload",
          "workers/message": "hello world",
          "workers/tag": "v1",
        },
        metadata: expect.objectContaining({ source: "wrangler" }),
      }),
    ]);
    expect(await deploymentsOf(server, "first")).toEqual([
      expect.objectContaining({
        source: "wrangler",
        versions: [{ version_id: id, percentage: 100 }],
        annotations: { "workers/triggered_by": "upload", "workers/message": "hello world" },
      }),
    ]);
  });

  test("the second deploy adds a version at 100%, and leaves the first version unchanged", async () => {
    const first = await deploy(server, "second", answering("one"));
    const [before] = await versionsOf(server, "second");
    const project = await useProject(server, "second", { code: answer("two") });

    const output = await succeed(project, "deploy", "--message", "now two", "--tag", "v2");

    const second = idAfter("Current Version ID", output);
    expect(second).not.toBe(first);
    expect(await textOf(server, "second")).toBe("two");
    const [newest, oldest, ...others] = await versionsOf(server, "second");
    expect(others).toEqual([]);
    expect(oldest).toEqual(before);
    expect(newest).toMatchObject({
      id: second,
      number: 2,
      annotations: { "workers/message": "now two", "workers/tag": "v2" },
    });
    const deployments = await deploymentsOf(server, "second");
    expect(deployments.map((deployment) => deployment.versions)).toEqual([
      [{ version_id: second, percentage: 100 }],
      [{ version_id: first, percentage: 100 }],
    ]);
    expect(deployments[0].annotations["workers/message"]).toBe("now two");
  });

  test("over a live split it says so, goes ahead without a terminal, and ends the split", async () => {
    const stable = await deploy(server, "over-split", answering("stable"));
    const candidate = await uploadVersion(server, "over-split", answering("candidate"));
    await createDeployment(server, "over-split", [
      [stable, 90],
      [candidate, 10],
    ]);
    const project = await useProject(server, "over-split", { code: answer("newest") });

    const output = await succeed(project, "deploy");

    expect(output).toContain("Your last deployment has multiple versions");
    expect(output).toContain(`(90%) ${stable}`);
    expect(output).toContain(`(10%) ${candidate}`);
    const id = idAfter("Current Version ID", output);
    expect(await activeSplit(server, "over-split")).toEqual([[id, 100]]);
    for (let i = 0; i < 50; i++) {
      const key = { "Cloudflare-Workers-Version-Key": `user-${i}` };
      expect(await textOf(server, "over-split", key)).toBe("newest");
    }
  });

  test("--env prod deploys <name>-prod with that environment's variables, and not <name>", async () => {
    const project = await useProject(server, "staged", {
      code: ENV_WORKER,
      config: { vars: { STAGE: "none" }, env: { prod: { vars: { STAGE: "prod" } } } },
    });

    const output = await succeed(project, "deploy", "--env", "prod");

    expect(output).toContain("Uploaded staged-prod");
    expect(output).toContain("staged-prod.localhost");
    expect(JSON.parse(await textOf(server, "staged-prod"))).toEqual({ STAGE: "prod" });
    await expectNotServed(server, "staged");
    expect((await server.api("GET", "/workers/services/staged")).status).toBe(404);
    const settings = await call(server, "GET", "/workers/scripts/staged-prod/script-settings");
    expect(settings.result.tags).toEqual(["cf:service=staged", "cf:environment=prod"]);
  });
});

describe("what the code of a deployed version finds", () => {
  test("variables of every kind arrive with their types, and the version knows its own id, tag and time", async () => {
    const vars = {
      TEXT: "päivää ✓",
      NUMBER: 4.5,
      FLAG: false,
      LIST: [1, "a"],
      TABLE: { max: { deep: null } },
    };
    const project = await useProject(server, "env", {
      code: ENV_WORKER,
      config: { vars, version_metadata: { binding: "VERSION" } },
    });

    const output = await succeed(project, "deploy", "--tag", "tagged");

    expect(output).toMatch(/env\.VERSION\s+Worker Version Metadata/);
    const id = idAfter("Current Version ID", output);
    const [version] = await versionsOf(server, "env");
    expect(JSON.parse(await textOf(server, "env"))).toEqual({
      ...vars,
      VERSION: { id, tag: "tagged", timestamp: version.metadata.created_on },
    });
  });

  test("a variable that is gone from the configuration is gone from the new version", async () => {
    await deploy(server, "no-keep-vars", { ...answering("old"), metadata: { bindings: oldVariables() } });
    const project = await useProject(server, "no-keep-vars", {
      code: ENV_WORKER,
      config: { vars: { NEW: "n" } },
    });
    await succeed(project, "deploy");
    expect(JSON.parse(await textOf(server, "no-keep-vars"))).toEqual({ NEW: "n" });
  });

  test("--keep-vars keeps it", async () => {
    await deploy(server, "keep-vars", { ...answering("old"), metadata: { bindings: oldVariables() } });
    const project = await useProject(server, "keep-vars", {
      code: ENV_WORKER,
      config: { vars: { NEW: "n" } },
    });
    await succeed(project, "deploy", "--keep-vars");
    expect(JSON.parse(await textOf(server, "keep-vars"))).toEqual({ NEW: "n", OLD: "o", JSON: [1] });
  });

  test("text, WebAssembly and data modules arrive by wrangler's default rules and by rules of the project", async () => {
    const project = await useProject(server, "modules", {
      code: `
        import module from "./add.wasm";
        import text from "./note.txt";
        import ruled from "./readme.md";
        import data from "./blob.bin";
        const { add } = new WebAssembly.Instance(module).exports;
        export default {
          fetch: () => Response.json({ sum: add(2, 3), text, ruled, bytes: [...new Uint8Array(data)] }),
        };`,
      config: { rules: [{ type: "Text", globs: ["**/*.md"], fallthrough: true }] },
      files: {
        "src/add.wasm": ADD_WASM,
        "src/note.txt": "käse\n",
        "src/readme.md": "# ruled",
        "src/blob.bin": Uint8Array.of(0, 1, 128, 255),
      },
    });

    await succeed(project, "deploy");

    expect(JSON.parse(await textOf(server, "modules"))).toEqual({
      sum: 5,
      text: "käse\n",
      ruled: "# ruled",
      bytes: [0, 1, 128, 255],
    });
  });

  test("with --no-bundle the files are uploaded unchanged, and an ES module can import a CommonJS one", async () => {
    const project = await useProject(server, "no-bundle", {
      code: `
        import half from "./lib/half.cjs";
        import { twice } from "./lib/twice.mjs";
        import note from "./note.txt";
        export default { fetch: () => Response.json({ half: half(8), twice: twice(8), note }) };`,
      config: {
        find_additional_modules: true,
        base_dir: "src",
        rules: [
          { type: "ESModule", globs: ["lib/*.mjs"] },
          { type: "CommonJS", globs: ["lib/*.cjs"] },
        ],
      },
      files: {
        "src/lib/half.cjs": `const { two } = require("./base.cjs"); module.exports = (n) => n / two;`,
        "src/lib/base.cjs": "exports.two = 2;",
        "src/lib/twice.mjs": "export const twice = (n) => n * 2;",
        "src/note.txt": "as it is",
      },
    });

    const output = await succeed(project, "deploy", "--no-bundle");

    expect(output).toMatch(/lib\/half\.cjs\s+│ commonjs/);
    expect(JSON.parse(await textOf(server, "no-bundle"))).toEqual({ half: 4, twice: 16, note: "as it is" });
  });

  test("Node's modules and process.env are there with nodejs_compat", async () => {
    const project = await useProject(server, "node", {
      code: `
        import { createHash } from "node:crypto";
        import { Buffer } from "node:buffer";
        export default {
          fetch: () => Response.json({
            sha256: createHash("sha256").update("x").digest("hex"),
            base64: Buffer.from("hi").toString("base64"),
            name: process.env.NAME,
          }),
        };`,
      config: { compatibility_flags: ["nodejs_compat"], vars: { NAME: "from vars" } },
    });

    await succeed(project, "deploy");

    expect(JSON.parse(await textOf(server, "node"))).toEqual({
      sha256: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
      base64: "aGk=",
      name: "from vars",
    });
    const [version] = await versionsOf(server, "node");
    expect(version.resources.script_runtime).toMatchObject({
      compatibility_date: COMPATIBILITY_DATE,
      compatibility_flags: ["nodejs_compat"],
    });
  });

  test("source maps, which wrangler sends by default, are accepted and not served or run as modules", async () => {
    const project = await useProject(server, "mapped", {
      config: { main: "src/typed.ts" },
      files: {
        "src/typed.ts":
          "const text: string = 'typed'; export default { fetch: (): Response => new Response(text) };",
      },
    });
    const recorder = await useRecorder(server);

    succeeded(await project.wrangler(["deploy"], "", recorder.env));

    const upload = recorder.exchanges.find(({ path }) => path.startsWith("/workers/scripts/mapped?"));
    expect(upload).toMatchObject({ method: "PUT", status: 200 });
    expect(upload?.sent).toContain('name="typed.js.map"');
    expect(upload?.sent).toContain("application/source-map");
    expect(await textOf(server, "mapped")).toBe("typed");
  });
});

describe("workers_dev", () => {
  test("false stops serving at <worker>.localhost, and true brings the newest code back", async () => {
    await deploy(server, "switched", answering("one"));
    const project = await useProject(server, "switched", {
      code: answer("two"),
      config: { workers_dev: false },
    });
    const output = await succeed(project, "deploy");
    expect(output).toContain("No targets deployed for switched");
    await expectNotServed(server, "switched");
    expect((await call(server, "GET", "/workers/scripts/switched/subdomain")).result.enabled).toBe(false);

    await project.write("wrangler.json", configuration("switched", { workers_dev: true }));
    expect(await succeed(project, "deploy")).toContain("switched.localhost");
    expect(await textOf(server, "switched")).toBe("two");
  });

  test("triggers deploy applies it without touching versions or deployments", async () => {
    await deploy(server, "triggers", answering("still here"));
    const project = await useProject(server, "triggers", { config: { workers_dev: false } });

    await leavesAlone(server, "triggers", async () => {
      expect(await succeed(project, "triggers", "deploy")).toContain("No targets deployed for triggers");
      await expectNotServed(server, "triggers");

      await project.write("wrangler.json", configuration("triggers", { workers_dev: true }));
      const output = await succeed(project, "triggers", "deploy");
      expect(output).toContain("Deployed triggers triggers");
      expect(output).toContain("triggers.localhost");
    });
    expect(await textOf(server, "triggers")).toBe("still here");
  });
});

describe("delete", () => {
  test("takes the Worker away at once, and the name can be deployed again with nothing of the old Worker", async () => {
    const project = await useProject(server, "phoenix", { code: ENV_WORKER, config: { vars: { LIFE: 1 } } });
    await succeed(project, "deploy");
    await call(server, "PUT", "/workers/scripts/phoenix/secrets", { name: "ASHES", text: "grey" });
    expect(JSON.parse(await textOf(server, "phoenix"))).toEqual({ LIFE: 1, ASHES: "grey" });

    expect(await succeed(project, "delete")).toContain("Successfully deleted phoenix");

    await expectNotServed(server, "phoenix");
    for (const path of ["/workers/services/phoenix", "/workers/scripts/phoenix/versions"]) {
      expect((await call(server, "GET", path)).errors[0]?.code).toBe(10007);
    }

    await project.write("wrangler.json", configuration("phoenix", { vars: { LIFE: 2 } }));
    const id = idAfter("Current Version ID", await succeed(project, "deploy"));
    expect(JSON.parse(await textOf(server, "phoenix"))).toEqual({ LIFE: 2 });
    expect((await versionsOf(server, "phoenix")).map((version) => version.id)).toEqual([id]);
    expect(await deploymentsOf(server, "phoenix")).toHaveLength(1);
  });

  test("takes away no other Worker, and of one that does not exist says so", async () => {
    await deploy(server, "neighbour", answering("neighbour"));
    const project = await useProject(server, "neighbour");

    const output = await leavesAlone(server, "neighbour", () =>
      fail(project, "delete", "--name", "never-there"),
    );

    expect(output).toContain('There is no Worker named "never-there"');
    expect(output).toContain("[code: 10007]");
  });
});

function oldVariables(): object[] {
  return [
    { type: "plain_text", name: "OLD", text: "o" },
    { type: "json", name: "JSON", json: [1] },
  ];
}

/** (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)) */
const ADD_WASM = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x07, 0x07, 0x01, 0x03, 0x61, 0x64, 0x64, 0x00, 0x00],
  ...[0x0a, 0x09, 0x01, 0x07, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6a, 0x0b],
]);
