/**
 * What versions reach of the machine, by every means that they have and from every place where they run. Which addresses
 * there are is in bindings/network.test.ts.
 */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { type AddressInfo, createServer, type Server as TcpServer } from "node:net";
import { hostname, networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, deploy, type Upload, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../../support/server.ts";

/** Goes to the target by the means that the path names, and answers with what came of it. */
const ERRANDS: Upload = {
  modules: {
    "index.js": {
      content: `import { connect } from "cloudflare:sockets";
import { DurableObject } from "cloudflare:workers";
import http from "node:http";
import net from "node:net";
const by = {
  fetch: async (target) => "got " + (await fetch("http://" + target + "/")).status,
  head: async (target) => "got " + (await fetch("https://" + target + "/", { method: "HEAD", redirect: "manual" })).status,
  async connect(target) { await connect(target).opened; return "got a socket"; },
  async tls(target) { await connect(target, { secureTransport: "on" }).opened; return "got a socket"; },
  async upgrade(target) { return "got " + (await fetch("http://" + target + "/", { headers: { Upgrade: "websocket" } })).status; },
  websocket: (target) => new Promise((done, fail) => {
    const socket = new WebSocket("ws://" + target + "/");
    socket.addEventListener("open", () => done("got a WebSocket"));
    socket.addEventListener("error", () => fail(new Error("refused")));
    socket.addEventListener("close", () => fail(new Error("closed")));
  }),
  eventsource: (target) => new Promise((done, fail) => {
    const source = new EventSource("http://" + target + "/");
    source.addEventListener("open", () => done("got events"));
    source.addEventListener("error", () => fail(new Error("refused")));
  }),
  net: (target) => new Promise((done, fail) => {
    const [, host, port] = /^(.*):(\\d+)$/.exec(target);
    net.connect({ host: host.replace(/[\\[\\]]/g, ""), port: Number(port) }, () => done("got a socket")).on("error", fail);
  }),
  http: (target) => new Promise((done, fail) => { http.get("http://" + target + "/", (answer) => done("got " + answer.statusCode)).on("error", fail); }),
  async unix(target) {
    const outcomes = [];
    for (const address of ["unix:" + target, { hostname: "unix:" + target, port: 1 }, { hostname: target, port: 1 }, "unix:" + target + ":1"]) {
      try { await connect(address).opened; outcomes.push("got a socket"); } catch (error) { outcomes.push("failed"); }
    }
    return outcomes.join().includes("got") ? "got one of them" : Promise.reject(new Error("all of them"));
  },
};
const slow = () => scheduler.wait(5_000).then(() => "failed: nothing came");
const run = (means, target) => Promise.race([by[means](target), slow()]).catch((error) => "failed: " + error.message);
export class Errands extends DurableObject {
  run(means, target) { return run(means, target); }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const [means, target] = [url.pathname.slice(1), url.searchParams.get("target")];
    if (means === "send") return new Response(await env.QUEUE.send(target).then(() => "sent"));
    if (means === "noted") return new Response(await env.KV.get("noted"));
    return new Response(await (url.searchParams.has("object") ? env.ERRANDS.getByName("a").run(means, target) : run(means, target)));
  },
  async queue({ messages: [message] }, env) { await env.KV.put("noted", await run("fetch", message.body)); },
};`,
    },
  },
  metadata: {
    compatibility_flags: ["nodejs_compat"],
    bindings: [
      { type: "durable_object_namespace", name: "ERRANDS", class_name: "Errands" },
      { type: "queue", name: "QUEUE", queue_name: "errands" },
      { type: "kv_namespace", name: "KV", namespace_id: "33333333333333333333333333333333" },
    ],
    migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Errands"] }] },
  },
};

let server: Server;
let listener: TcpServer;
let port: number;
let connections = 0;
let preview: string;
beforeAll(async () => {
  listener = createServer((socket) => {
    connections++;
    // What is refused after the handshake is reset.
    socket.on("error", () => {});
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
  listener.listen(0, "::");
  await once(listener, "listening");
  port = (listener.address() as AddressInfo).port;
  server = await startServer();
  const queue = await call(server, "POST", "/queues", { queue_name: "errands" });
  await deploy(server, "errands", ERRANDS);
  const second = { ...ERRANDS, metadata: { ...ERRANDS.metadata, migrations: undefined } };
  preview = `${(await uploadVersion(server, "errands", second)).slice(0, 8)}-errands`;
  const consumer = {
    type: "worker",
    script_name: "errands",
    settings: { batch_size: 1, max_wait_time_ms: 0 },
  };
  expect((await call(server, "POST", `/queues/${queue.result.queue_id}/consumers`, consumer)).errors).toEqual(
    [],
  );
});
afterAll(async () => {
  await disposeServer(server);
  listener.close();
});

const run = async (means: string, target: string, place: "stable" | "preview" | "object" = "stable") => {
  const object = place === "object" ? "&object=1" : "";
  const path = `/${means}?target=${encodeURIComponent(target)}${object}`;
  return (await server.traffic(place === "preview" ? preview : "errands", { path })).body;
};

const MEANS = ["fetch", "head", "connect", "tls", "upgrade", "websocket", "eventsource", "net", "http"];

describe.each(["stable", "preview", "object"] as const)(
  "a version in its place as %s reaches nothing here",
  (place) => {
    test.each(["127.0.0.1", "localhost", "[::1]"])("at %s by any means", async (host) => {
      const outcomes = await Promise.all(
        MEANS.map(async (means) => [means, await run(means, `${host}:${port}`, place)] as const),
      );
      for (const [means, outcome] of outcomes)
        expect([means, outcome]).toEqual([means, expect.stringMatching(/^failed: /)]);
      expect(connections).toBe(0);
    });

    test("of Sluice's own: neither ports nor sockets nor the names that processes have for each other", async () => {
      for (const own of [server.controlPort, server.trafficPort]) {
        expect(await run("fetch", `127.0.0.1:${own}`, place)).toMatch(/^failed: /);
        expect(await run("connect", `127.0.0.1:${own}`, place)).toMatch(/^failed: /);
      }
      for (const name of ["lane", "follower", "control", "validator", "replica", "version", "service"]) {
        expect([name, await run("fetch", name, place)]).toEqual([name, expect.stringMatching(/^failed: /)]);
      }
      const folders = readdirSync(tmpdir()).filter((name) => /^sluice-\w{6}$/.test(name));
      expect(folders.length).toBeGreaterThan(0);
      for (const folder of folders.slice(0, 3)) {
        expect(await run("unix", join(tmpdir(), folder, "control-follower.sock"), place)).toMatch(
          /^failed: /,
        );
      }
    });
  },
);

test("a queue's consumer reaches nothing here", async () => {
  expect(await run("send", `127.0.0.1:${port}`)).toBe("sent");
  await waitUntil(async () => (await server.traffic("errands", { path: "/noted" })).body !== "");
  expect((await server.traffic("errands", { path: "/noted" })).body).toMatch(/^failed: /);
  expect(connections).toBe(0);
});

describe("an address of this machine in another form leads nowhere:", () => {
  const own = Object.values(networkInterfaces()).flatMap((all = []) =>
    all.filter(({ internal }) => !internal),
  );
  test.each([
    ...[
      "0177.0.0.1",
      "0x7f.1",
      "0x7f000001",
      "017700000001",
      "127.1",
      "127.0.1",
      "127.255.255.254",
      "0",
      "0.1.2.3",
    ],
    ...[
      "[::ffff:7f00:1]",
      "[::ffff:127.0.0.1]",
      "[0:0:0:0:0:ffff:7f00:0001]",
      "[::127.0.0.1]",
      "[0::1]",
      "[::]",
    ],
    ...["[fe80::1]", "[::ffff:169.254.169.254]", "169.254.0.1", "0xa9fea9fe"],
    ...[
      "localhost.",
      "LOCALHOST",
      "localhost.localdomain",
      "ip6-localhost",
      "ip6-loopback",
      "sub.localhost",
      hostname(),
    ],
    ...["localtest.me", "127.0.0.1.nip.io", "metadata.google.internal", "１２７.０.０.１"],
    ...own.map(({ address, family }) => (family === "IPv4" ? address : `[${address}]`)),
  ])("%s", async (host) => {
    for (const means of ["fetch", "connect"]) {
      expect([means, await run(means, `${host}:${port}`)]).toEqual([
        means,
        expect.stringMatching(/^failed: /),
      ]);
    }
    expect(connections).toBe(0);
  });
});

test("each of these means reaches an address that the operator allows, so what they are refused proves something", async () => {
  const open = await useServer({ args: ["--allow-address", "127.0.0.1", "--single-process"] });
  await deploy(open, "errands", { ...ERRANDS, metadata: { ...ERRANDS.metadata, bindings: [] } });
  for (const means of MEANS) {
    const before = connections;
    await open.traffic("errands", { path: `/${means}?target=127.0.0.1:${port}` });
    // The answer may come before this test has heard of the connection.
    await waitUntil(() => connections > before).catch(() => expect(means).toBe("a connection"));
  }
});
