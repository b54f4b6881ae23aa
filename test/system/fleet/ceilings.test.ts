/** More of everything than a process has room for: connections, bytes that nobody reads, log lines, work after a rollback. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { call, createDeployment, deploy, type Upload, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../../support/server.ts";
import { logged } from "../helpers.ts";

const MIB = 1024 * 1024;

const GOOD: Upload = {
  modules: { "index.js": { content: 'export default { fetch: () => new Response("good") };' } },
};

/** Does without end what its path says. */
const GREEDY: Upload = {
  modules: {
    "index.js": {
      content: `const held = [];
const stream = (source) => new Response(new ReadableStream(source));
export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/slow") await scheduler.wait(15_000);
  if (pathname === "/pulled") return stream({ pull(c) { c.enqueue(new Uint8Array(65_536)); } });
  if (pathname === "/pushed") return stream({ async start(c) {
    for (let i = 0; i < 64; i++) { c.enqueue(new Uint8Array(${MIB}).fill(1)); await scheduler.wait(50); }
  } });
  if (pathname === "/log") {
    for (let i = 0; i < 32; i++) console.log("l".repeat(${MIB}));
    for (let i = 0; i < 20_000; i++) console.log("line " + i);
  }
  if (pathname === "/work") return stream({ async start(c) {
    for (;;) { held.push(new Uint8Array(${MIB}).fill(1)); console.log("at work"); c.enqueue(new Uint8Array(1)); await scheduler.wait(20); }
  } });
  return new Response("greedy");
} };`,
    },
  },
};

/** Opens a connection with a request, and reads nothing unless `answered` is there. */
function open(
  server: Server,
  worker: string,
  path: string,
  more = "",
  answered?: (data: string) => void,
): Socket {
  const socket = connect(server.trafficPort, "127.0.0.1");
  socket.on("error", () => {});
  if (answered === undefined) socket.pause();
  else socket.on("data", (data) => answered(data.toString()));
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${worker}.localhost:${server.trafficPort}\r\n${more}\r\n`);
  return socket;
}

function closeAll(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

/** Resident memory of a process, in MiB. */
function memoryOf(server: Server, which: "canary_pid" | "pid"): number {
  const pid = JSON.parse(readFileSync(join(server.dataDir, "server.json"), "utf8"))[which];
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

const ended = (server: Server) =>
  [...logged(server, "process-ended"), ...logged(server, "process-too-large")].map(({ process }) => process);

test("more connections than descriptors get 503, end no process, and everybody is served when they are gone", async () => {
  const server = await useServer({ descriptors: 2_000 });
  await deploy(server, "crowded", GREEDY);
  expect((await server.traffic("crowded")).body).toBe("greedy");
  let refused = 0;
  const sockets: Socket[] = [];
  // Each takes two descriptors for as long as its request is under way.
  for (let i = 0; i < 1_500; i++) {
    const socket = open(server, "crowded", "/slow", "", (data) => {
      if (data.startsWith("HTTP/1.1 503")) refused++;
      socket.end();
    });
    sockets.push(socket);
    await sleep(4);
  }
  await waitUntil(() => refused > 0);
  const answer = await server.traffic("crowded");
  expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "5"]);
  // The API is another process.
  expect((await call(server, "GET", "/workers/scripts")).status).toBe(200);
  expect(logged(server, "descriptors-short")[0]).toMatchObject({ process: "traffic-0" });
  closeAll(sockets);
  await waitUntil(async () => (await server.traffic("crowded")).body === "greedy");
  expect(ended(server)).toEqual([]);
});

describe("one request sends at most 1,000 subrequests", () => {
  let server: Server;
  const upstream = createServer((_, response) => response.end("ok"));
  beforeAll(async () => {
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", 4_096, resolve));
    server = await startServer({ args: ["--allow-address", "127.0.0.1/32"] });
  });
  afterAll(async () => {
    await disposeServer(server);
    upstream.closeAllConnections();
    upstream.close();
  });

  /** Sends as many as its query says, at once or one after the other, and answers with what became of them. */
  const SENDING = `async function send(request) {
  const { searchParams: query } = new URL(request.url);
  const counts = {};
  const one = () => fetch("http://127.0.0.1:" + query.get("port")).then((r) => r.text(), (e) => e.message).then((text) => { counts[text] = (counts[text] ?? 0) + 1; });
  if (query.has("batch")) await Promise.all(Array.from({ length: Number(query.get("n")) }, one));
  else for (let i = 0; i < Number(query.get("n")); i++) await one();
  return Response.json(counts);
}`;
  const REFUSED = "Too many subrequests: one request may send 1000.";

  test.each([
    ["object", "export default { fetch: send };"],
    ["inherited method", "export default Object.create({ fetch: send });"],
    [
      "instance",
      "class App { #send = send; fetch(request) { return this.#send(request); } } export default new App();",
    ],
    [
      "class",
      'import { WorkerEntrypoint } from "cloudflare:workers"; export default class extends WorkerEntrypoint { fetch(request) { return send(request); } }',
    ],
  ])("of a version whose default export is: %s", async (name, exported) => {
    const worker = name.replace(" ", "-");
    await deploy(server, worker, { modules: { "index.js": { content: `${SENDING}\n${exported}` } } });
    const { port } = upstream.address() as AddressInfo;
    const ask = async (query: string) =>
      JSON.parse((await server.traffic(worker, { path: `/?port=${port}&${query}` })).body);
    expect(await ask("n=20000&batch")).toEqual({ ok: 1_000, [REFUSED]: 19_000 });
    // Each request counts for itself, also where several are under way.
    const both = await Promise.all([ask("n=1002"), ask("n=600")]);
    expect(both).toEqual([{ ok: 1_000, [REFUSED]: 2 }, { ok: 600 }]);
    expect(ended(server)).toEqual([]);
  });

  test("of a version that is given one batch of a queue", async () => {
    const { port } = upstream.address() as AddressInfo;
    const queue = (await call(server, "POST", "/queues", { queue_name: "many" })).result.queue_id;
    await deploy(server, "consumer", {
      modules: {
        "index.js": {
          content: `${SENDING}
export default {
  async fetch(request, env) { await env.MANY.send("one"); return new Response("sent"); },
  async queue() { console.log("batch " + await (await send({ url: "http://x/?n=1002&port=${port}" })).text()); },
};`,
        },
      },
      metadata: { bindings: [{ type: "queue", name: "MANY", queue_name: "many" }] },
    });
    const settings = { max_wait_time_ms: 0 };
    const consumer = { type: "worker", script_name: "consumer", settings };
    expect((await call(server, "POST", `/queues/${queue}/consumers`, consumer)).errors).toEqual([]);
    expect((await server.traffic("consumer")).body).toBe("sent");
    const batches = () =>
      logged(server, "runtime").filter(({ message }) => String(message).startsWith("batch "));
    await waitUntil(() => batches().length > 0);
    expect(batches()[0]?.message).toBe(`batch {"ok":1000,"${REFUSED}":2}`);
  });
});

describe("a candidate", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ args: ["--memory-limit", "512"] });
    await deploy(server, "neighbour", GOOD);
  });
  afterAll(() => disposeServer(server));

  /** A Worker with a greedy candidate at 0%, and the header that reaches it. */
  async function split(worker: string) {
    const stable = await deploy(server, worker, GOOD);
    const candidate = await uploadVersion(server, worker, GREEDY);
    const shares: [string, number][] = [
      [stable, 100],
      [candidate, 0],
    ];
    expect((await createDeployment(server, worker, shares)).errors).toEqual([]);
    const name = "Cloudflare-Workers-Version-Overrides";
    const value = `${worker}="${candidate}"`;
    const ask = (path = "/") => server.traffic(worker, { path, headers: { [name]: value } });
    // The stable version serves while the process that the test before has ended is started again.
    await waitUntil(async () => (await ask()).body === "greedy");
    return { stable, ask, line: `${name}: ${value}\r\n` };
  }

  /** Asks the stable version and another Worker until the condition holds: both answer every time. */
  async function whileOthersAreServed(worker: string, condition: () => boolean): Promise<void> {
    await waitUntil(async () => {
      const answers = [await server.traffic(worker), await server.traffic("neighbour")];
      expect(answers.map(({ status, body }) => [status, body])).toEqual([
        [200, "good"],
        [200, "good"],
      ]);
      return condition();
    });
  }

  test("whose endless streams 200 clients do not read is held back", async () => {
    const { ask, line } = await split("unread");
    const sockets = Array.from({ length: 200 }, () => open(server, "unread", "/pulled", line));
    onTestFinished(() => closeAll(sockets));
    const until = Date.now() + 5_000;
    await whileOthersAreServed("unread", () => Date.now() > until);
    expect((await ask()).body).toBe("greedy");
    expect(ended(server)).toEqual([]);
    expect(memoryOf(server, "canary_pid")).toBeLessThan(512);
  });

  test("that writes ahead for 200 clients that do not read ends its own process only", async () => {
    const { line } = await split("ahead");
    const sockets = Array.from({ length: 200 }, () => open(server, "ahead", "/pushed", line));
    onTestFinished(() => closeAll(sockets));
    const large = () => logged(server, "process-too-large").map(({ process }) => process);
    await whileOthersAreServed("ahead", () => large().length > 0);
    expect(new Set(large())).toEqual(new Set(["canary"]));
  });

  test("that logs without end gets a part of its lines into the log, and the log says how many are missing", async () => {
    const { ask } = await split("loud");
    const before = server.output.length;
    const memory = memoryOf(server, "pid");
    expect((await ask("/log")).body).toBe("greedy");
    await waitUntil(() => logged(server, "log-lines-dropped").length > 0);
    await whileOthersAreServed("loud", () => server.output.includes("… (cut)"));
    expect(logged(server, "log-lines-dropped")[0]).toMatchObject({
      process: "canary",
      lines: expect.any(Number),
    });
    // It has printed 32 MiB.
    expect(server.output.length - before).toBeLessThan(16 * MIB);
    expect(memoryOf(server, "pid") - memory).toBeLessThan(256);
  });

  test("that goes on after its rollback ends with its process", async () => {
    const { stable, line } = await split("late");
    const before = ended(server).length;
    const closed = Promise.withResolvers<void>();
    const socket = open(server, "late", "/work", line, () => {});
    socket.once("close", () => closed.resolve());
    await waitUntil(() => server.output.includes("at work"));
    expect((await createDeployment(server, "late", [[stable, 100]])).errors).toEqual([]);
    await whileOthersAreServed("late", () => ended(server).length > before);
    expect(ended(server).at(-1)).toBe("canary");
    await closed.promise;
    const lines = server.output.length;
    await sleep(1_000);
    expect(server.output.slice(lines)).not.toContain("at work");
  });
});
