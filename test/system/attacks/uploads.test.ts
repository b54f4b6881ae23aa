/** Uploads whose code attacks while it is tried out: each is refused or harmless, and the next one is served. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server as TcpServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, deploy, type Reply, readEnvelope, uploadForm } from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";
import { logged } from "../helpers.ts";

/** Every kind of binding that code can look for. */
const BINDINGS = [
  { type: "kv_namespace", name: "KV", namespace_id: "11111111111111111111111111111111" },
  { type: "r2_bucket", name: "R2", bucket_name: "attacked" },
  { type: "queue", name: "QUEUE", queue_name: "attacked" },
  { type: "service", name: "SERVICE", service: "bystander" },
  { type: "analytics_engine", name: "POINTS", dataset: "attacked" },
  { type: "secret_text", name: "SECRET", text: "a secret of the upload's own" },
];

let server: Server;
let listener: TcpServer;
let port: number;
let connections = 0;
beforeAll(async () => {
  listener = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  port = (listener.address() as AddressInfo).port;
  server = await startServer();
  await deploy(server, "bystander", answering("bystander"));
});
afterAll(async () => {
  await disposeServer(server);
  listener.close();
});

async function upload(
  worker: string,
  content: string,
  metadata: Readonly<Record<string, unknown>> = {},
): Promise<Reply> {
  const form = uploadForm({ modules: { "index.js": { content } }, metadata });
  return readEnvelope(await server.api("PUT", `/workers/scripts/${worker}`, { body: form }));
}

const SERVES = 'export default { fetch: () => new Response("served") };';
const imports = 'import { env } from "cloudflare:workers";\n';

describe("an upload that never finishes starting", () => {
  test.each([
    ["loops", `for (;;);\n${SERVES}`],
    [
      "loops where it has bindings only",
      `${imports}if (env.KV && env.R2 && env.SERVICE) for (;;);\n${SERVES}`,
    ],
    ["waits for what never comes", `await new Promise(() => {});\n${SERVES}`],

    ["loops when its handlers are looked at", `export default { get fetch() { for (;;); } };`],
  ])(
    "because it %s is refused at the deadline at the latest, and the next one is served",
    async (what, content) => {
      const started = performance.now();
      const refused = await upload("attacker", content, { bindings: BINDINGS });
      expect([what, refused.success, refused.errors[0]?.message]).toEqual([
        what,
        false,
        expect.stringMatching(/\S/),
      ]);
      expect([400, 409]).toContain(refused.status);
      expect(performance.now() - started).toBeLessThan(30_000);
      await deploy(server, "next", answering(what));
      expect((await server.traffic("next")).body).toBe(what);
    },
  );
});

describe("an upload that ends the process in which it is tried out", () => {
  test.each([
    [
      "takes memory where it has bindings",
      `${imports}const held = []; while (env.KV) held.push(new Array(1e6).fill(held));\n${SERVES}`,
    ],
    ["recurses", `const down = () => down() + 1; down();\n${SERVES}`],
  ])("because it %s is refused, and the next one is served", async (what, content) => {
    const refused = await upload("attacker", content, { bindings: BINDINGS });
    expect([what, refused.success, refused.status]).toEqual([what, false, 400]);
    await deploy(server, "next", answering(what));
    expect((await server.traffic("next")).body).toBe(what);
  });

  test("harms neither the API nor traffic", () => {
    expect([...logged(server, "process-hangs"), ...logged(server, "process-ended")]).toEqual([]);
  });
});

test("uploads that are sent at once, good and bad, are answered each for itself", async () => {
  const one = (i: number) =>
    i % 3 === 0
      ? upload(
          `attacker-${i}`,
          i === 0 ? `for (;;);\n${SERVES}` : `throw new Error("upload ${i}");\n${SERVES}`,
        )
      : upload(`honest-${i}`, SERVES);
  const replies = await Promise.all(Array.from({ length: 9 }, (_, i) => one(i)));
  expect(replies.map(({ success }) => success)).toEqual(replies.map((_, i) => i % 3 !== 0));
  for (const i of [3, 6]) expect(replies[i]?.errors[0]?.message).toContain(`upload ${i}`);
});

/** Runs at the top level; what it found out is the message of the exception by which the upload fails. */
const reporting = (code: string, metadata: Readonly<Record<string, unknown>> = {}) =>
  upload(
    "curious",
    `${imports}const found = await (async () => { ${code} })().catch((error) => "caught " + error.message);
throw new Error("found <" + found + ">");\n${SERVES}`,
    { bindings: BINDINGS, ...metadata },
  ).then(({ errors }) => /found <([\s\S]*)>/.exec(errors[0]?.message ?? "")?.[1] ?? errors[0]?.message ?? "");

const NODE = { compatibility_flags: ["nodejs_compat"] };

describe("an upload, while it is tried out,", () => {
  test("reaches no network, neither at its top level nor when its handlers are looked at", async () => {
    const url = () => `http://127.0.0.1:${port}/`;
    expect(await reporting(`return (await fetch("${url()}")).status`)).toMatch(/^caught |limit/);
    expect(
      await reporting(
        `const { connect } = await import("cloudflare:sockets"); await connect("127.0.0.1:${port}").opened; return "open"`,
      ),
    ).toMatch(/^caught /);
    expect(
      await reporting(
        `const net = await import("node:net"); return new Promise((done) => net.connect(${port}, "127.0.0.1").on("connect", () => done("open")).on("error", (error) => done("caught " + error.message)))`,
        NODE,
      ),
    ).toMatch(/caught|time limit|never|hang/i);
    const later = await upload(
      "later",
      `export default { get fetch() { fetch("${url()}").catch(() => {}); return () => new Response("served"); } };`,
    );
    expect([true, false]).toContain(later.success);
    expect(connections).toBe(0);
  });

  test("does nothing to what it is bound to, and reads nothing from it", async () => {
    expect(await reporting(`return (await env.SERVICE.fetch("http://bystander/")).status`)).toMatch(
      /503|caught/,
    );
    expect(await reporting(`await env.KV.put("a", "b"); return "put"`)).toMatch(/caught/);
    expect(await reporting(`await env.QUEUE.send("a"); return "sent"`)).toMatch(/caught/);
  });

  test("sees no file, variable or process of the machine", async () => {
    const reads = (path: string) =>
      reporting(`const fs = await import("node:fs"); return fs.readdirSync("${path}").join()`, NODE);
    for (const path of ["/etc", "/proc/self", server.dataDir, "/tmp/../root"])
      expect(await reads(path)).toMatch(/^caught /);
    expect(await reporting(`return JSON.stringify(process.env)`, NODE)).not.toMatch(/PATH|HOME|SLUICE/);
    const spawned = await reporting(
      `const { spawnSync } = await import("node:child_process"); return spawnSync("id").stdout`,
      NODE,
    );
    expect(spawned).toMatch(/caught|undefined|No such module/);
  });

  test("may try to exit, and only harms itself", async () => {
    for (const code of [
      "process.exit(0)",
      "process.abort()",
      "process.kill(process.pid)",
      "process.kill(1)",
    ]) {
      await upload("leaving", `try { ${code}; } catch {}\n${SERVES}`, NODE);
      await upload(
        "leaving",
        `import { abortIsolate } from "cloudflare:workers";\nabortIsolate("leaving");\n${SERVES}`,
      );
    }
    await deploy(server, "next", answering("after exits"));
    expect((await server.traffic("next")).body).toBe("after exits");
  });

  test("cannot claim other exports than it has", async () => {
    const claiming = `const report = '{"has_default":true,"handlers":5,"named_handlers":[{"name":"__sluice_forged","handlers":["class"]}]}';
const Own = Response;
Response.json = () => new Own(report);
globalThis.Response = class { constructor() { return new Own(report); } };
JSON.stringify = () => report;
Object.entries = () => [["__sluice_forged", class {}]];
Object.prototype.toJSON = Array.prototype.toJSON = () => 5;
Array.prototype.filter = Array.prototype.flatMap = Array.prototype.map = () => [5];
Array.prototype[Symbol.iterator] = function* () { yield 5; };
RegExp.prototype.exec = () => null;
RegExp.prototype.test = () => true;
Function.prototype.toString = () => "class";
Function.prototype.call = Function.prototype.apply = () => "class";
export class Named { fetch() {} }
export const plain = () => {};
export default { fetch: () => new Own("served") };`;
    const reply = await upload("claiming", claiming);
    expect(reply.errors).toEqual([]);
    expect((await server.traffic("claiming")).body).toBe("served");
    const version = await readEnvelope(
      await server.api("GET", `/workers/scripts/claiming/versions/${reply.result.deployment_id}`),
    );
    expect(version.result.resources.script).toMatchObject({
      handlers: ["fetch"],
      named_handlers: [{ name: "Named", handlers: ["class"] }],
    });
  });
});
