import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  call,
  createDeployment,
  deploy,
  PROCESSES,
  type Upload,
  uploadVersion,
} from "../../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../../support/server.ts";
import { keys } from "../helpers.ts";
import { runBoth } from "./compare.ts";

/** Sends what its path says, keeps what it is delivered, and says what it kept. */
function worker(name: string, queue: string, handler = ""): Upload {
  return {
    modules: {
      "index.js": {
        content: `export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/send") { await env.QUEUE.send(searchParams.get("id"), { delaySeconds: Number(searchParams.get("delay") ?? 0) }); return new Response("sent"); }
    const names = [];
    for (let cursor; ; ) {
      const page = await env.KV.list({ cursor });
      for (const { name, metadata } of page.keys) names.push({ name, ...metadata });
      if (page.list_complete) return Response.json(names);
      cursor = page.cursor;
    }
  },
  async queue(batch, env) {
    ${handler}
    for (const { id, body, attempts } of batch.messages) await env.KV.put(batch.queue + "/" + body + "/" + id + "/" + attempts, "1", { metadata: { body, attempts, by: ${JSON.stringify(name)}, queue: batch.queue } });
  },
};`,
      },
    },
    metadata: {
      bindings: [
        { type: "queue", name: "QUEUE", queue_name: queue },
        { type: "kv_namespace", name: "KV", namespace_id: `kept-${queue}` },
      ],
    },
  };
}

interface Kept {
  readonly body: string;
  readonly attempts: number;
  readonly by: string;
  readonly queue: string;
}

/** Gives a queue its consumer, as `wrangler deploy` does. */
async function consume(
  server: Server,
  queue: string,
  script: string,
  settings: object,
  dead?: string,
): Promise<void> {
  const found = await call(server, "GET", `/queues?name=${queue}`);
  const reply = await call(server, "POST", `/queues/${found.result[0].queue_id}/consumers`, {
    type: "worker",
    script_name: script,
    settings,
    ...(dead === undefined ? {} : { dead_letter_queue: dead }),
  });
  expect(reply.errors).toEqual([]);
}

const send = (server: Server, script: string, id: string, delay = 0) =>
  server.traffic(script, { path: `/send?id=${id}&delay=${delay}` });
const keptBy = async (server: Server, script: string) =>
  JSON.parse((await server.traffic(script, { path: "/kept" })).body) as Kept[];

describe.each(PROCESSES)("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("a queue's producer answers as it answers a plain Worker, errors included", async () => {
    const { plain, sluice } = await runBoth(server, "producer", {
      miniflare: { queueProducers: { QUEUE: "one" } },
      metadata: { bindings: [{ type: "queue", name: "QUEUE", queue_name: "one" }] },
      body: `
const { QUEUE } = env;
const sent = (name, action) => record(name, async () => Object.keys((await action()).metadata.metrics).includes("backlogCount"));
await sent("send", () => QUEUE.send({ a: 1 }));
await sent("json", () => QUEUE.send([1], { contentType: "json" }));
await sent("text", () => QUEUE.send("text", { contentType: "text" }));
await sent("bytes", () => QUEUE.send(new Uint8Array([1, 2]), { contentType: "bytes" }));
await sent("v8", () => QUEUE.send(new Map([[1, new Date(0)]]), { contentType: "v8" }));
await sent("map", () => QUEUE.send(new Map()));
await sent("null", () => QUEUE.send(null));
await sent("delayed", () => QUEUE.send(1, { delaySeconds: 5 }));
await sent("batch", () => QUEUE.sendBatch([{ body: 1 }, { body: "2", contentType: "text" }]));
await sent("batch of an iterable", () => QUEUE.sendBatch(new Set([{ body: 1 }])));
await record("a type that is none", () => QUEUE.send(1, { contentType: "nope" }));
await record("text of an object", () => QUEUE.send({}, { contentType: "text" }));
await record("bytes of a text", () => QUEUE.send("x", { contentType: "bytes" }));
await record("bytes of a buffer", () => QUEUE.send(new ArrayBuffer(1), { contentType: "bytes" }));
await record("undefined", () => QUEUE.send(undefined));
await record("nothing", () => QUEUE.send());
await record("a function", () => QUEUE.send(() => {}, { contentType: "v8" }));
await record("an empty batch", () => QUEUE.sendBatch([]));
await record("no batch", () => QUEUE.sendBatch());
await record("a text for a batch", () => QUEUE.sendBatch("x"));
await record("a batch without bodies", () => QUEUE.sendBatch([{}]));
await record("names", () => QUEUE.constructor.name);`,
    });
    expect(sluice).toEqual(plain);
  });

  test("every type of body arrives unchanged, in batches within their limit", async () => {
    await deploy(server, "types", {
      modules: {
        "index.js": {
          content: `const show = (body) => body instanceof Map ? ["map", ...body] : body instanceof ArrayBuffer ? ["bytes", ...new Uint8Array(body)] : body;
export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/seen") return new Response((await env.KV.get("seen")) ?? "[]");
    await env.QUEUE.sendBatch([
      { body: { a: [1, null] } },
      { body: "text", contentType: "text" },
      { body: new Uint8Array([1, 255]), contentType: "bytes" },
      { body: new Map([[1, "one"]]), contentType: "v8" },
    ]);
    return new Response("sent");
  },
  async queue(batch, env) {
    const seen = JSON.parse((await env.KV.get("seen")) ?? "[]");
    seen.push([batch.queue, batch.messages.map(({ id, timestamp, body, attempts }) => [typeof id, timestamp instanceof Date, show(body), attempts])]);
    await env.KV.put("seen", JSON.stringify(seen));
  },
};`,
        },
      },
      metadata: {
        bindings: [
          { type: "queue", name: "QUEUE", queue_name: "types" },
          { type: "kv_namespace", name: "KV", namespace_id: "seen-types" },
        ],
      },
    });
    await consume(server, "types", "types", { batch_size: 2, max_wait_time_ms: 0 });
    expect((await server.traffic("types", { path: "/send" })).body).toBe("sent");
    const seen = async () =>
      JSON.parse((await server.traffic("types", { path: "/seen" })).body) as [string, unknown[][]][];
    await waitUntil(async () => (await seen()).flatMap(([, messages]) => messages).length === 4);
    expect(await seen()).toEqual([
      [
        "types",
        [
          ["string", true, { a: [1, null] }, 1],
          ["string", true, "text", 1],
        ],
      ],
      [
        "types",
        [
          ["string", true, ["bytes", 1, 255], 1],
          ["string", true, ["map", [1, "one"]], 1],
        ],
      ],
    ]);
  });

  test("a message that the consumer throws on is delivered again, and goes to the dead letter queue in the end", async () => {
    const failing = `if (batch.queue === "failing") { for (const m of batch.messages) await env.KV.put("failing/" + m.body + "/" + m.id + "/" + m.attempts, "1", { metadata: { body: m.body, attempts: m.attempts, queue: batch.queue } }); throw new Error("cannot"); }`;
    await deploy(server, "failing", worker("failing", "failing", failing));
    await call(server, "POST", "/queues", { queue_name: "dead" });
    await consume(server, "failing", "failing", { max_wait_time_ms: 0, max_retries: 2 }, "dead");
    await consume(server, "dead", "failing", { max_wait_time_ms: 0 });
    await send(server, "failing", "bad");
    await waitUntil(async () => (await keptBy(server, "failing")).some(({ queue }) => queue === "dead"));
    const kept = await keptBy(server, "failing");
    expect(
      kept
        .filter(({ queue }) => queue === "failing")
        .map(({ attempts }) => attempts)
        .sort(),
    ).toEqual([1, 2, 3]);
    expect(kept.filter(({ queue }) => queue === "dead")).toMatchObject([{ body: "bad", attempts: 1 }]);
  });

  test("a message that is acknowledged is not delivered again, though the others of its batch are: what is said first counts", async () => {
    const choosy = `if (batch.messages.some(({ attempts }) => attempts === 1)) { for (const m of batch.messages) if (m.body === "good") { m.ack(); m.retry(); } else { m.retry(); m.ack(); } batch.retryAll(); batch.ackAll(); for (const m of batch.messages) await env.KV.put("first/" + m.id, "1", { metadata: { body: m.body, attempts: m.attempts, queue: "first" } }); return; }`;
    await deploy(server, "choosy", worker("choosy", "choosy", choosy));
    for (const id of ["good", "again", "good", "again"]) await send(server, "choosy", id);
    await consume(server, "choosy", "choosy", { max_wait_time_ms: 0 });
    await waitUntil(
      async () => (await keptBy(server, "choosy")).filter(({ attempts }) => attempts === 2).length === 2,
    );
    const second = (await keptBy(server, "choosy")).filter(({ attempts }) => attempts > 1);
    expect(second.map(({ body }) => body)).toEqual(["again", "again"]);
  });
});

test("batches go to both versions of the consumer by its split, and not one message is lost", async () => {
  const server = await useServer();
  const one = await deploy(server, "shared", worker("one", "shared"));
  const two = await uploadVersion(server, "shared", worker("two", "shared"));
  await createDeployment(server, "shared", [
    [one, 50],
    [two, 50],
  ]);
  await consume(server, "shared", "shared", { batch_size: 2, max_wait_time_ms: 0 });
  const sent = keys(200, "m");
  for (const id of sent) await send(server, "shared", id);
  await waitUntil(
    async () => new Set((await keptBy(server, "shared")).map(({ body }) => body)).size === sent.length,
  );
  const kept = await keptBy(server, "shared");
  expect(kept.map(({ body }) => body).sort()).toEqual([...sent].sort());
  expect([...new Set(kept.map(({ by }) => by))].sort()).toEqual(["one", "two"]);
});

test("a message whose sending was acknowledged is delivered after a kill -9, a delayed one after its delay", async () => {
  let server = await startServer();
  onTestFinished(() => disposeServer(server));
  await deploy(server, "durable", worker("durable", "durable"));
  // Nobody takes them yet.
  for (const id of keys(20, "m")) await send(server, "durable", id);
  await send(server, "durable", "late", 2);
  await server.kill();
  server = await startServer({ like: server });
  await consume(server, "durable", "durable", { max_wait_time_ms: 0 });
  await waitUntil(async () => (await keptBy(server, "durable")).length === 21);
  expect((await keptBy(server, "durable")).map(({ body }) => body).sort()).toEqual(
    [...keys(20, "m"), "late"].sort(),
  );
});

test("a queue whose consumer is not there keeps its messages until it is", async () => {
  const server = await useServer();
  await deploy(server, "sender", worker("sender", "waiting"));
  await consume(server, "waiting", "taker", { max_wait_time_ms: 0 });
  await send(server, "sender", "early");
  const taker = worker("taker", "waiting");
  await deploy(server, "taker", taker);
  await waitUntil(async () => (await keptBy(server, "taker")).length === 1);
  expect(await keptBy(server, "taker")).toMatchObject([{ body: "early", by: "taker" }]);
});
