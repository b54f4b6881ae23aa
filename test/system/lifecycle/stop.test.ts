import { once } from "node:events";
import { stat } from "node:fs/promises";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { deploy, readEnvelope, uploadForm } from "../../support/client.ts";
import {
  disposeServer,
  type Server,
  startServer,
  TOKEN,
  useServer,
  waitUntil,
} from "../../support/server.ts";
import { beginPost, childrenOf, isAlive, NAMING_ITSELF, versionsOf } from "../helpers.ts";

/** A request that is answered while it is still being sent. */
async function openEcho(
  server: Server,
  worker: string,
): Promise<{ outgoing: ClientRequest; response: IncomingMessage; received: () => string }> {
  const { outgoing, response } = await beginPost(server, worker, "one ");
  let text = "";
  response.on("data", (chunk: Buffer) => {
    text += chunk;
  });
  await waitUntil(() => text === "one ");
  return { outgoing, response, received: () => text };
}

const ECHO = {
  modules: {
    "index.js": { content: "export default { fetch: (request) => new Response(request.body) };" },
  },
};

async function refusesConnections(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

/** Whether end users' new requests get no answer: traffic drains. */
async function acceptsNoMore(server: Server): Promise<boolean> {
  const answered = server.traffic("nobody").then(
    () => true,
    () => false,
  );
  return !(await Promise.race([answered, sleep(300, false)]));
}

describe("SIGTERM", () => {
  test("lets a slow request finish completely, then exits with 0 and leaves no process", async () => {
    const server = await useServer();
    await deploy(server, "echo", ECHO);
    const children = childrenOf(server);
    expect(children.length).toBeGreaterThan(0);
    const { outgoing, response, received } = await openEcho(server, "echo");

    const exit = server.stop();
    await waitUntil(() => acceptsNoMore(server));
    expect(server.process.exitCode).toBeNull();
    for (const word of ["two ", "three ", "four "]) {
      const before = received();
      outgoing.write(word);
      await waitUntil(() => received() === before + word);
    }
    outgoing.end("five");
    await once(response, "end");
    expect(received()).toBe("one two three four five");
    expect(await exit).toBe(0);
    await waitUntil(() => !children.some(isAlive));
    await expect(stat(join(server.dataDir, "server.json"))).rejects.toThrow("ENOENT");
  });

  test("lets a slow request finish, and refuses or closes a later connection, never with half a response", async () => {
    const server = await useServer();
    await deploy(server, "echo", ECHO);
    const { outgoing, response } = await openEcho(server, "echo");
    const exit = server.stop();
    await waitUntil(() => acceptsNoMore(server));

    // The runtime keeps the socket of the side that drains open without accepting: who comes now is refused, or waits
    // and is cut off when the last request is done.
    const late = connect(server.trafficPort, "127.0.0.1");
    let received = "";
    late.on("data", (chunk) => {
      received += chunk;
    });
    const ended = new Promise((resolve) => late.once("close", resolve).once("error", resolve));
    late.write("GET / HTTP/1.1\r\nHost: echo.localhost\r\n\r\n");

    outgoing.end("the rest");
    let text = "";
    for await (const chunk of response) text += chunk;
    expect(text.endsWith("the rest")).toBe(true);
    expect(await exit).toBe(0);
    await ended;
    expect(received).toBe("");
  });

  test("lets a running upload finish, and the next start has its version", async () => {
    let server = await useServer();
    await deploy(server, "slow", NAMING_ITSELF);
    const whole = new Response(uploadForm(NAMING_ITSELF));
    const type = whole.headers.get("Content-Type") ?? "";
    const bytes = Buffer.from(await whole.arrayBuffer());
    const outgoing = request({
      host: "127.0.0.1",
      port: server.controlPort,
      method: "POST",
      path: "/client/v4/accounts/sluice/workers/scripts/slow/versions",
      headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": type, "Content-Length": bytes.length },
      agent: false,
    });
    outgoing.write(bytes.subarray(0, 100));
    // Its connection has been accepted by the time that a later one has been answered.
    await versionsOf(server, "slow");

    const exit = server.stop();
    // Traffic, which has nothing to finish, ends at once.
    await waitUntil(() => refusesConnections(server.trafficPort));
    outgoing.end(bytes.subarray(100));
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    let text = "";
    for await (const chunk of response) text += chunk;
    const uploaded = await readEnvelope(new Response(text, { status: response.statusCode ?? 0 }));
    expect(uploaded.errors).toEqual([]);
    expect(await exit).toBe(0);

    server = await startServer({ like: server });
    onTestFinished(() => disposeServer(server));
    expect((await versionsOf(server, "slow"))[0].id).toBe(uploaded.result.id);
  });

  test("does not wait for idle connections", async () => {
    const server = await useServer();
    await deploy(server, "echo", ECHO);
    const sockets = [server.trafficPort, server.controlPort].map((port) => connect(port, "127.0.0.1"));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    // Connected, answered, and kept open.
    const [used] = sockets as [(typeof sockets)[0]];
    used.write("GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n");
    await once(used, "data");
    expect(await server.stop()).toBe(0);
  });

  test("SIGINT does the same", async () => {
    const server = await useServer();
    await deploy(server, "echo", ECHO);
    const { outgoing, response, received } = await openEcho(server, "echo");
    const exit = once(server.process, "exit");
    server.process.kill("SIGINT");
    await waitUntil(() => acceptsNoMore(server));
    outgoing.end("two");
    await once(response, "end");
    expect(received()).toBe("one two");
    expect(await exit).toEqual([0, null]);
  });
});

/** Takes each message for two seconds, and notes the end of it. */
const TAKING_ITS_TIME = {
  modules: {
    "index.js": {
      content: `export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/send") await env.QUEUE.send("one");
    return Response.json((await env.KV.list()).keys.map(({ name }) => name));
  },
  async queue({ messages: [{ attempts }] }, env) {
    console.log("begun");
    await scheduler.wait(2_000);
    await env.KV.put("taken at attempt " + attempts, "1");
  },
};`,
    },
  },
  metadata: {
    bindings: [
      { type: "queue", name: "QUEUE", queue_name: "slow" },
      { type: "kv_namespace", name: "KV", namespace_id: "55555555555555555555555555555555" },
    ],
  },
};

test("a batch under way finishes before a stop, is not delivered again, and the stop waits for nothing else", async () => {
  const server = await useServer();
  await deploy(server, "taker", TAKING_ITS_TIME);
  const found = await (await server.api("GET", "/queues?name=slow")).json();
  const { queue_id } = (found as { result: { queue_id: string }[] }).result[0] ?? {};
  await server.api("POST", `/queues/${queue_id}/consumers`, {
    body: JSON.stringify({ type: "worker", script_name: "taker", settings: { max_wait_time_ms: 0 } }),
  });
  await server.traffic("taker", { path: "/send" });
  await waitUntil(() => server.output.includes("begun"));
  const started = Date.now();
  expect(await server.stop()).toBe(0);
  // The deadline, which ends what does not end by itself, is 30 s.
  expect(Date.now() - started).toBeLessThan(25_000);
  const next = await startServer({ like: server });
  onTestFinished(() => disposeServer(next));
  await sleep(1_000);
  expect((await next.traffic("taker")).body).toBe('["taken at attempt 1"]');
});

test("a version that hangs does not keep a stop waiting for its deadline, and other requests finish", async () => {
  const server = await useServer({ args: ["--hang-timeout", "1"] });
  await deploy(server, "looping", {
    modules: { "index.js": { content: "export default { fetch() { for (;;); } };" } },
  });
  await deploy(server, "echo", ECHO);
  void server.traffic("looping").catch(() => undefined);
  await sleep(100);
  const started = Date.now();
  expect(await server.stop()).toBe(0);
  expect(Date.now() - started).toBeLessThan(25_000);
});
