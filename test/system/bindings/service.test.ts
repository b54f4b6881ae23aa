import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  call,
  createDeployment,
  deploy,
  PROCESSES,
  uploadForm,
  uploadVersion,
} from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";
import { NAMING_ITSELF } from "../helpers.ts";
import { runBoth } from "./compare.ts";

const KEY = "Cloudflare-Workers-Version-Key";
const OVERRIDES = "Cloudflare-Workers-Version-Overrides";

const CALLEE = `
import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
class Counter extends RpcTarget { #n = 0; increment(by = 1) { this.#n += by; return this.#n; } }
export default class extends WorkerEntrypoint {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === "/throw") throw new TypeError("thrown in fetch");
    if (url.pathname === "/missing") return new Response("nothing here", { status: 404, headers: { "x-callee": "yes" } });
    return Response.json({ method: request.method, url: request.url, body: await request.text(), header: request.headers.get("x-test") });
  }
  add(a, b) { return a + b; }
  echo(value) { return value; }
  fail() { throw new RangeError("failed in the callee"); }
  counter() { return new Counter(); }
  stream() { return new Response("a stream").body; }
  async call(callback) { return (await callback(20)) + 1; }
  get answer() { return 42; }
}
export class Named extends WorkerEntrypoint {
  fetch(request) { return new Response("named " + new URL(request.url).pathname); }
  who() { return ["named", this.ctx.props]; }
}
export const plain = { fetch: () => new Response("an object") };`;

/** Passes a request on to the service that it is bound to, headers included. */
const FORWARDING = (service: string) => ({
  modules: {
    "index.js": {
      content: `export default { fetch: (request, env) => env.SERVICE.fetch(new Request("http://service/", { headers: request.headers })) };`,
    },
  },
  metadata: { bindings: [{ type: "service", name: "SERVICE", service }] },
});

describe.each(PROCESSES)("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("a service binding answers as it answers a plain Worker, errors included", async () => {
    const { plain, sluice } = await runBoth(server, "caller", {
      others: { callee: CALLEE },
      miniflare: {
        serviceBindings: {
          CALLEE: "callee",
          NAMED: { name: "callee", entrypoint: "Named", props: { color: "red" } },
          PLAIN: { name: "callee", entrypoint: "plain" },
        },
      },
      metadata: {
        bindings: [
          { type: "service", name: "CALLEE", service: "callee" },
          { type: "service", name: "NAMED", service: "callee", entrypoint: "Named", props: { color: "red" } },
          { type: "service", name: "PLAIN", service: "callee", entrypoint: "plain" },
        ],
      },
      body: `
const { CALLEE, NAMED, PLAIN } = env;
await record("fetch", async () => (await CALLEE.fetch("http://callee/path?q=1", { method: "POST", body: "text", headers: { "x-test": "1" } })).json());
await record("fetch a request", async () => (await CALLEE.fetch(new Request("https://other.example/"))).json());
await record("status and headers", async () => { const r = await CALLEE.fetch("http://callee/missing"); return [r.status, r.headers.get("x-callee"), await r.text()]; });
await record("fetch throws", () => CALLEE.fetch("http://callee/throw"));
await record("relative", () => CALLEE.fetch("/path"));
await record("call", () => CALLEE.add(1, 2));
await record("values", () => CALLEE.echo({ date: new Date(0), map: new Map([[1, { a: 2 }]]), bytes: new Uint8Array([1, 2]), n: 1n }));
await record("throw", () => CALLEE.fail());
await record("no such method", () => CALLEE.missing());
await record("property", () => CALLEE.answer);
await record("target", async () => { const counter = await CALLEE.counter(); return [await counter.increment(), await counter.increment(2)]; });
await record("pipelined", () => CALLEE.counter().increment(7));
await record("stream", async () => new Response(await CALLEE.stream()).text());
await record("callback", () => CALLEE.call((n) => n * 2));
await record("named fetch", async () => (await NAMED.fetch("http://callee/x")).text());
await record("named call", () => NAMED.who());
await record("an object", async () => (await PLAIN.fetch("http://callee/")).text());
await record("an object has no method", () => PLAIN.add(1, 2));
await record("not cloneable", () => CALLEE.echo(Symbol("x")));`,
    });
    expect(sluice).toEqual(plain);
  });

  describe("a called Worker", () => {
    test("is split by its own deployment, by the key and the override that the call carries, 0% included", async () => {
      const stable = await deploy(server, "split", NAMING_ITSELF);
      const candidate = await uploadVersion(server, "split", NAMING_ITSELF);
      await deploy(server, "outer", FORWARDING("split"));
      const ask = async (headers: Record<string, string>) =>
        (await server.traffic("outer", { headers })).body;
      await createDeployment(server, "split", [
        [stable, 50],
        [candidate, 50],
      ]);
      const seen = new Set<string>();
      for (let i = 0; i < 40; i++) {
        const headers = { [KEY]: `key-${i}` };
        const direct = (await server.traffic("split", { headers })).body;
        expect([await ask(headers), await ask(headers)]).toEqual([direct, direct]);
        seen.add(direct);
      }
      expect([...seen].sort()).toEqual([stable, candidate].sort());
      await createDeployment(server, "split", [
        [stable, 100],
        [candidate, 0],
      ]);
      expect(await ask({})).toBe(stable);
      expect(await ask({ [OVERRIDES]: `split="${candidate}"` })).toBe(candidate);
    });

    test("is followed at once: not one call after the answer to a deployment reaches the version before", async () => {
      const one = await deploy(server, "followed", NAMING_ITSELF);
      const two = await uploadVersion(server, "followed", NAMING_ITSELF);
      await deploy(server, "follower", FORWARDING("followed"));
      for (let i = 0; i < 20; i++) {
        const next = i % 2 === 0 ? two : one;
        expect((await createDeployment(server, "followed", [[next, 100]])).errors).toEqual([]);
        expect((await server.traffic("follower")).body).toBe(next);
      }
    });

    test("that does not exist is refused by name when the caller is uploaded, and nothing is stored", async () => {
      const reply = await call(server, "PUT", "/workers/scripts/lonely", uploadForm(FORWARDING("nobody")));
      expect([reply.status, reply.errors[0]?.code]).toEqual([400, 10143]);
      expect(reply.errors[0]?.message).toMatch(/SERVICE.*nobody/);
      expect((await call(server, "GET", "/workers/services/lonely")).status).toBe(404);
    });

    test("that was deleted since fails the call, and the caller can catch it", async () => {
      await deploy(server, "leaving", NAMING_ITSELF);
      await deploy(server, "left", {
        modules: {
          "index.js": {
            content: `export default { async fetch(request, env) {
  try { return await env.SERVICE.fetch("http://service/"); } catch (error) { return new Response("caught " + error.message); }
} };`,
          },
        },
        metadata: { bindings: [{ type: "service", name: "SERVICE", service: "leaving" }] },
      });
      await call(server, "DELETE", "/workers/services/leaving?force=true");
      expect((await server.traffic("left")).body).toMatch(/^caught .*leaving/);
    });
  });
});
