/** Versions whose code replaces what JavaScript gives it, or uses the names of what Sluice adds to it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, deploy, readEnvelope, type Upload, uploadForm } from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { logged } from "../helpers.ts";

/** Replaces all that code can reach, as late or as early as the caller says. */
const REPLACING = `const never = () => { throw new Error("replaced"); };
const OwnResponse = Response;
const define = Object.defineProperty;
const replaceEach = (target, names) => {
  for (let i = 0; i < names.length; i++) define(target, names[i], { value: never, configurable: true, writable: true });
};
let isDone = false;
export const replace = () => {
  if (isDone) return;
  isDone = true;
  JSON.parse = JSON.stringify = Reflect.get = Object.entries = Object.fromEntries = Object.hasOwn = Object.assign = never;
  const options = ["status", "headers", "webSocket", "cf", "encodeBody"];
  for (let i = 0; i < options.length; i++) define(Object.prototype, options[i], { get: never, set: never, configurable: true });
  replaceEach(Array.prototype, ["map", "filter", "flatMap", "push", "splice", "reduce", "every", "some", "find", Symbol.iterator]);
  replaceEach(String.prototype, ["startsWith", "split", "replace", "slice", Symbol.iterator]);
  replaceEach(Headers_prototype, ["set", "get", "has", "delete", "append", Symbol.iterator]);
  replaceEach(Map_prototype, ["get", "set", "has", Symbol.iterator]);
  replaceEach(Function.prototype, ["call", "apply", "bind", "toString"]);
  replaceEach(RegExp.prototype, ["exec", "test"]);
  replaceEach(Promise_prototype, ["finally", "catch"]);
  Promise_prototype.then = () => {};
  define(Promise_prototype, "constructor", { get: never });
  replaceEach(globalThis, ["Promise", "Response", "Request", "Headers", "fetch", "setTimeout", "clearTimeout", "setInterval",
    "queueMicrotask", "AbortSignal", "AbortController", "WeakRef", "FinalizationRegistry", "Proxy", "Map", "Set", "TextEncoder",
    "structuredClone", "scheduler", "Object", "Array", "Error"]);
};
const [Headers_prototype, Map_prototype, Promise_prototype] = [Headers, Map, Promise].map((each) => each.prototype);
`;

const at = (when: "start" | "request" | "timer"): Upload => ({
  modules: {
    "replacing.js": { content: REPLACING },
    "index.js": {
      content: `import { replace } from "./replacing.js";
const Own = Response;
const later = setTimeout;
const answer = (text) => new Own(text);
${when === "start" ? "replace();" : ""}
export default { fetch(request, env, ctx) {
  ${when === "request" ? "replace();" : ""}
  ${when === "timer" ? "later(replace, 1);" : ""}
  return answer("replaced");
} };`,
    },
  },
});

let server: Server;
beforeAll(async () => {
  server = await startServer();
  await deploy(server, "bystander", answering("bystander"));
});
afterAll(() => disposeServer(server));

const put = async (worker: string, content: string, metadata: Readonly<Record<string, unknown>> = {}) =>
  readEnvelope(
    await server.api("PUT", `/workers/scripts/${worker}`, {
      body: uploadForm({ modules: { "index.js": { content } }, metadata }),
    }),
  );

describe("a version that replaces every global", () => {
  test.concurrent.each(["start", "request", "timer"] as const)(
    "at its %s serves, leaves others alone, and is unloaded",
    async (when) => {
      const worker = `replacing-${when}`;
      const id = await deploy(server, worker, at(when));
      for (let i = 0; i < 3; i++) {
        expect((await server.traffic(worker)).body).toBe("replaced");
        expect((await server.traffic("bystander")).body).toBe("bystander");
      }
      await deploy(server, worker, answering("honest"));
      expect((await server.traffic(worker)).body).toBe("honest");
      await waitUntil(() => logged(server, "version-unloaded").some(({ version }) => version === id));
    },
  );

  test("in the message handler of a queue can still say what becomes of each message", async () => {
    const consumer = `${REPLACING.replace("export ", "")}
let done = false;
export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/seen") return new OwnResponse(await env.KV.get("seen"));
    await env.QUEUE.send("message");
    return new OwnResponse("sent");
  },
  async queue(batch, env) {
    const message = batch.messages[0];
    if (message.attempts === 1) message.retry();
    if (!done) { done = true; EVENTS_ONLY }
    await env.KV.put("seen", message.body + message.attempts);
  },
};`;
    const harmless =
      "Map = never; JSON.stringify = never; Promise = never; Reflect.get = never; Proxy = never; Map_prototype.set = never; Map_prototype[Symbol.iterator] = never; Array.prototype.flatMap = () => 5; Array.prototype[Symbol.iterator] = never; String.prototype.startsWith = never;";
    const content = consumer.replace("EVENTS_ONLY", harmless);
    const queue = await call(server, "POST", "/queues", { queue_name: "replaced" });
    const bindings = [
      { type: "queue", name: "QUEUE", queue_name: "replaced" },
      { type: "kv_namespace", name: "KV", namespace_id: "22222222222222222222222222222222" },
    ];
    expect((await put("consuming", content, { bindings })).errors).toEqual([]);
    const settings = { batch_size: 1, max_wait_time_ms: 0, max_retries: 3 };
    const made = await call(server, "POST", `/queues/${queue.result.queue_id}/consumers`, {
      type: "worker",
      script_name: "consuming",
      settings,
    });
    expect(made.errors).toEqual([]);
    expect((await server.traffic("consuming")).body).toBe("sent");
    await waitUntil(async () => (await server.traffic("consuming", { path: "/seen" })).body === "message2");
    expect(logged(server, "queue-undelivered")).toEqual([]);
  });
});

describe("the names of what Sluice adds to a version are refused", () => {
  const CLASS =
    "import { DurableObject } from 'cloudflare:workers'; export class __sluice_room extends DurableObject {}";
  const migrations = { new_tag: "v1", steps: [{ new_sqlite_classes: ["__sluice_room"] }] };
  test.each([
    ["an entrypoint", "export const __sluice__ = { fetch() {} };", {}],
    ["an entrypoint for batches", "export class __sluice_queue__ { queue() {} }", {}],
    [
      "an entrypoint that another export hides",
      "const taken = { fetch() {} }; export { taken as __sluice_scheduled__ };",
      {},
    ],
    ["a Durable Object's class", CLASS, { migrations }],
    [
      "a service binding's entrypoint",
      "",
      { bindings: [{ type: "service", name: "N", service: "bystander", entrypoint: "__sluice__" }] },
    ],
    [
      "a service binding's entrypoint to itself",
      "",
      { bindings: [{ type: "service", name: "N", service: "taking", entrypoint: "__sluice_queue__" }] },
    ],
  ])("as %s", async (_, content, metadata) => {
    const reply = await put("taking", `${content}\nexport default { fetch() {} };`, metadata);
    expect([reply.success, reply.status, reply.errors[0]?.message]).toEqual([
      false,
      400,
      expect.stringContaining("__sluice"),
    ]);
  });

  test("as a module", async () => {
    const form = uploadForm({
      modules: {
        "index.js": { content: "export default { fetch() {} };" },
        "__sluice_globals.js": { content: "export const tools = {};" },
      },
    });
    const reply = await readEnvelope(await server.api("PUT", "/workers/scripts/taking", { body: form }));
    expect([reply.success, reply.status]).toEqual([false, 400]);
  });
});

test("a Worker that is bound to another one, and to its objects, reaches nothing that Sluice added to them", async () => {
  const target: Upload = {
    modules: {
      "index.js": {
        content: `import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {
  alarms = 0;
  async alarm() { this.alarms++; }
  async count() { return this.alarms + " " + (await this.ctx.storage.getAlarm()); }
}
export default { fetch: () => new Response("target"), queue() {}, scheduled() {} };`,
      },
    },
    metadata: { migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] } },
  };
  await deploy(server, "target", target);
  const tried = await put(
    "reaching",
    `export default { async fetch(request, env, ctx) {
  const room = env.ROOM.getByName("a");
  const attempts = {
    setAlarm: () => room.sluiceSetAlarm(Date.now()),
    name: () => room.sluiceName("forged"),
    follow: () => room.sluiceFollow(),
    alarm: () => room.__sluice_alarm({}),
    alarmItself: () => room.alarm({}),
    idle: () => room.__sluice_idle(),
    count: () => room.__sluice_count(() => 5),
    hostEnv: () => room.env,
    hostContext: () => room.ctx.storage.deleteAll(),
    unload: () => env.TARGET.__sluice__.fetch("http://version/unload"),
    batch: () => env.TARGET.__sluice_queue__["event:{}"]({ queue: "q", messages: [] }),
    event: () => env.TARGET["event:{}"]({ queue: "q", messages: [] }),
    serviceEnv: () => env.TARGET.env,
    serviceProps: () => env.TARGET.ctx.props,
    exports: () => ctx.exports.WorkerRegistry.getByName("target").overview(),
    channel: () => ctx.exports.KvBinding({ props: {} }).get("deployment/target"),
  };
  const reached = [];
  for (const [name, attempt] of Object.entries(attempts)) {
    try { reached.push(name + ": " + JSON.stringify(await attempt())); } catch {}
  }
  return Response.json({ reached, left: await room.count() });
} };`,
    {
      bindings: [
        { type: "durable_object_namespace", name: "ROOM", class_name: "Room", script_name: "target" },
        { type: "service", name: "TARGET", service: "target" },
      ],
    },
  );
  expect(tried.errors).toEqual([]);
  expect(JSON.parse((await server.traffic("reaching")).body)).toEqual({ reached: [], left: "0 null" });
  expect((await server.traffic("target")).body).toBe("target");
});
