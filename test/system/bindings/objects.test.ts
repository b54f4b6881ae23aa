import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROCESSES } from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";
import { runBoth } from "./compare.ts";

const ROOM = `
class Counter extends RpcTarget {
  #n = 0;
  increment(by = 1) { this.#n += by; return this.#n; }
}
export class Room extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS note (text TEXT)");
  }
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (request.headers.get("Upgrade") === "websocket") {
      const [client, server] = Object.values(new WebSocketPair());
      this.ctx.acceptWebSocket(server, ["tag"]);
      server.serializeAttachment({ path: pathname });
      this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
      return new Response(null, { status: 101, webSocket: client });
    }
    if (pathname === "/throw") throw new TypeError("thrown in fetch");
    return Response.json({ method: request.method, path: pathname, name: this.ctx.id.name, header: request.headers.get("x-test") });
  }
  async webSocketMessage(socket, message) {
    socket.send(JSON.stringify([message, socket.deserializeAttachment(), this.ctx.getWebSockets("tag").length]));
    if (message === "end") socket.close(4000, "the end");
  }
  async webSocketClose(socket, code) { await this.ctx.storage.put("closed", code); }
  names() { return Object.keys(this.env); }
  add(text) { this.ctx.storage.sql.exec("INSERT INTO note VALUES (?)", text); return this.notes(); }
  notes() { return this.ctx.storage.sql.exec("SELECT text FROM note").toArray().map(({ text }) => text); }
  get size() { return this.notes().length; }
  counter() { return new Counter(); }
  fail(message) { throw new RangeError(message); }
  async put(key, value) { await this.ctx.storage.put(key, value); return this.ctx.storage.get(key); }
  async list() { return this.ctx.storage.list(); }
  id() { return [this.ctx.id.toString() === this.ctx.id.toString(), this.ctx.id.name ?? null, this.ctx.id.equals(this.ctx.id)]; }
  async whoever(id) { return [String(this.ctx.id) === id]; }
  stream() { return new Response("a stream").body; }
  async remind(ms) { await this.ctx.storage.setAlarm(Date.now() + ms); return typeof await this.ctx.storage.getAlarm(); }
  async forget() { await this.ctx.storage.deleteAlarm(); return this.ctx.storage.getAlarm(); }
  async alarm(info) { await this.ctx.storage.put("alarm", { retry: info?.retryCount, isRetry: info?.isRetry, pending: await this.ctx.storage.getAlarm() }); }
  async rang() {
    for (let i = 0; i < 200; i++) {
      const value = await this.ctx.storage.get("alarm");
      if (value !== undefined) return value;
      await scheduler.wait(25);
    }
    return "no alarm";
  }
  async transact() {
    await this.ctx.storage.transaction(async (txn) => { await txn.put("t", 1); });
    try { await this.ctx.storage.transaction(async (txn) => { await txn.put("t", 2); throw new Error("roll back"); }); } catch {}
    return this.ctx.storage.get("t");
  }
  async clear() { await this.ctx.storage.deleteAll(); return [...await this.ctx.storage.list()].length; }
  other(name) { return this.env.ROOM.getByName(name).add("from " + this.ctx.id.name); }
}
export class Classic {
  constructor(state, env) { this.state = state; }
  async fetch(request) {
    const n = ((await this.state.storage.get("n")) ?? 0) + 1;
    await this.state.storage.put("n", n);
    return new Response("classic " + n);
  }
}`;

describe.each(PROCESSES)("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("a Durable Object answers as it answers a plain Worker, errors included", async () => {
    const { plain, sluice } = await runBoth(server, "objects", {
      top: ROOM,
      miniflare: {
        durableObjects: {
          ROOM: { className: "Room", useSQLite: true },
          CLASSIC: { className: "Classic", useSQLite: true },
        },
      },
      metadata: {
        bindings: [
          { type: "durable_object_namespace", name: "ROOM", class_name: "Room" },
          { type: "durable_object_namespace", name: "CLASSIC", class_name: "Classic" },
        ],
        migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room", "Classic"] }] },
      },
      body: `
const { ROOM, CLASSIC } = env;
const id = ROOM.idFromName("one");
await record("id is 64 hex digits", () => /^[0-9a-f]{64}$/.test(id.toString()));
await record("id by name again", () => ROOM.idFromName("one").equals(id));
await record("id by another name", () => ROOM.idFromName("two").equals(id));
await record("name", () => id.name);
await record("id by string", () => ROOM.idFromString(id.toString()).equals(id));
await record("id by no string", () => ROOM.idFromString("abc"));
await record("id of no namespace", () => ROOM.idFromString("ab".repeat(32)));
await record("id of another namespace", () => CLASSIC.idFromString(id.toString()));
await record("unique ids differ", () => ROOM.newUniqueId().equals(ROOM.newUniqueId()));
await record("unique id has no name", () => ROOM.newUniqueId().name);
const stub = ROOM.get(id);
await record("stub name", () => [stub.name, stub.id.equals(id)]);
await record("fetch", async () => (await stub.fetch("http://room/path", { method: "POST", body: "b", headers: { "x-test": "1" } })).json());
await record("fetch a request", async () => (await stub.fetch(new Request("http://room/other"))).json());
await record("fetch throws", () => stub.fetch("http://room/throw"));
await record("call", () => stub.add("first"));
await record("call by name", () => ROOM.getByName("one").add("second"));
await record("call another", () => ROOM.getByName("two").notes());
await record("call by string", () => ROOM.get(ROOM.idFromString(id.toString())).notes());
await record("property", () => stub.size);
await record("throw", () => stub.fail("too far"));
await record("no such method", () => stub.missing());
await record("target", async () => { const counter = await stub.counter(); return [await counter.increment(), await counter.increment(5)]; });
await record("pipelined", () => stub.counter().increment(3));
await record("stream", async () => new Response(await stub.stream()).text());
await record("in parallel", async () => (await Promise.all(Array.from({ length: 20 }, (_, i) => ROOM.getByName("many").add(String(i))))).at(-1).length);
await record("storage", () => stub.put("key", { deep: [1, new Date(0)] }));
await record("list", () => stub.list());
await record("own id", () => stub.id);
await record("id inside", () => ROOM.get(id).whoever(id.toString()));
await record("alarm", () => stub.remind(60000));
await record("no alarm", () => stub.forget());
await record("rings", async () => { await stub.remind(50); return stub.rang(); });
await record("transaction", () => stub.transact());
await record("one calls another", () => stub.other("three"));
await record("clear", () => stub.clear());
await record("classic", async () => [await (await CLASSIC.getByName("c").fetch("http://c/")).text(), await (await CLASSIC.getByName("c").fetch("http://c/")).text()]);
await record("env", () => Object.keys(env));
await record("env inside", () => stub.names());
await record("WebSocket", async () => {
  const { status, webSocket } = await ROOM.getByName("sockets").fetch("http://room/socket", { headers: { Upgrade: "websocket" } });
  webSocket.accept();
  const said = [];
  const closed = new Promise((resolve) => webSocket.addEventListener("close", ({ code, reason }) => resolve([code, reason])));
  webSocket.addEventListener("message", ({ data }) => said.push(data));
  for (const message of ["ping", "hello", "end"]) webSocket.send(message);
  return [status, await closed, said];
});
await record("get without id", () => ROOM.get("one"));
await record("jurisdiction", () => ROOM.jurisdiction("eu").constructor.name);`,
    });
    expect(sluice).toEqual(plain);
  });
});
