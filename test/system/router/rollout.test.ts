/** A rollout watches answers on their way. Clients must not notice. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, deploy, type Upload, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { code, KEY, sendTo } from "./helpers.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

const ANSWERS = code(`
  const bytes = (length) => {
    const all = new Uint8Array(length);
    for (let i = 0; i < length; i++) all[i] = i * 31 + (i >> 8);
    return all;
  };
  const stream = (parts) => new ReadableStream({
    pull(c) { const part = parts.shift(); if (part === undefined) c.close(); else c.enqueue(part); },
  });
  const fixed = (body) => {
    const { readable, writable } = new FixedLengthStream(body.length);
    const writer = writable.getWriter();
    writer.write(body).then(() => writer.close());
    return readable;
  };
  const ANSWERS = {
    "/text": () => new Response("text", { headers: { ETag: '"1"', "Sluice-Outcome": "good" } }),
    "/empty": () => new Response(""),
    "/nothing": () => new Response(null, { status: 204 }),
    "/unchanged": () => new Response(null, { status: 304, headers: { ETag: '"1"' } }),
    "/fixed": () => new Response(fixed(bytes(100_000))),
    "/parts": () => new Response(stream([bytes(1), bytes(4_096), bytes(4_097), bytes(300_000)])),
    "/wrong-length": () => new Response(stream([bytes(10)]), { headers: { "Content-Length": "20" } }),
    "/large": () => new Response(bytes(3_000_000), { status: 203, statusText: "Large" }),
    "/cookies": () => new Response("c", { headers: [["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"]] }),
    "/packed": () => new Response(stream([bytes(50_000)]).pipeThrough(new CompressionStream("gzip")), {
      headers: { "Content-Encoding": "gzip" }, encodeBody: "manual",
    }),
    "/events": () => new Response(stream([new TextEncoder().encode("data: 1\\n\\n")]), {
      headers: { "Content-Type": "text/event-stream" },
    }),
    "/slow": () => {
      let n = 0;
      return new Response(new ReadableStream({
        async pull(c) { await scheduler.wait(n && 50); c.enqueue(bytes(1_000)); if (++n === 100) c.close(); },
        cancel() { cancelled++; },
      }));
    },
    "/cancelled": () => new Response(String(cancelled)),
  };
  let cancelled = 0;
  export default { fetch: (request) => ANSWERS[new URL(request.url).pathname]() };
`);

const PATHS = [
  ...["/text", "/empty", "/nothing", "/unchanged", "/fixed", "/parts", "/wrong-length", "/large"],
  ...["/cookies", "/packed", "/events"],
];

async function answers(worker: string, key: string, method = "GET") {
  const found = await Promise.all(
    PATHS.map(async (path) => {
      const { status, headers, body } = await sendTo(server, worker, {
        path,
        method,
        headers: { [KEY]: key },
      });
      const { date, "sluice-outcome": _, ...rest } = headers;
      const digest = createHash("sha256").update(body).digest("hex");
      return [path, { status, headers: rest, length: body.length, digest }] as const;
    }),
  );
  return Object.fromEntries(found);
}

async function begin(worker: string, candidate: Upload = ANSWERS, plan: object = {}): Promise<string> {
  const version_id = await uploadVersion(server, worker, candidate);
  const stages = [{ percentage: 50, soak_seconds: 3_600 }];
  const { result, errors } = await call(server, "POST", `/workers/scripts/${worker}/rollouts`, {
    version_id,
    stages,
    ...plan,
  });
  expect(errors).toEqual([]);
  return result.id;
}

test("answers are the same during a rollout, byte by byte and header by header, of every arm", async () => {
  await deploy(server, "same", ANSWERS);
  const before = { GET: await answers("same", "a"), HEAD: await answers("same", "a", "HEAD") };
  expect(before.GET["/text"]?.headers["content-length"]).toBe("4");
  await begin("same");
  for (let i = 0; i < 6; i++) {
    expect(await answers("same", `client ${i}`)).toEqual(before.GET);
  }
  expect(await answers("same", "client", "HEAD")).toEqual(before.HEAD);
});

test("what a version says of its answer to the rollout does not reach the client", async () => {
  await deploy(server, "outcome", ANSWERS);
  const say = async () => (await sendTo(server, "outcome", { path: "/text" })).headers["sluice-outcome"];
  expect(await say()).toBe("good");
  await begin("outcome");
  expect(await say()).toBeUndefined();
});

test("a client that goes away in the middle of a body is no failure, and the version hears of it", async () => {
  await deploy(server, "leaving", ANSWERS);
  const id = await begin("leaving");
  const leave = async (key: string) => {
    const headers = { Host: "leaving.localhost", [KEY]: key };
    const outgoing = request({ port: server.trafficPort, host: "127.0.0.1", path: "/slow", headers });
    outgoing.end();
    outgoing.on("error", () => {});
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    await once(response, "data");
    outgoing.destroy();
  };
  const clients = Array.from({ length: 20 }, (_, i) => `client ${i}`);
  await Promise.all(clients.map(leave));
  const cancelled = async (key: string) =>
    Number((await sendTo(server, "leaving", { path: "/cancelled", headers: { [KEY]: key } })).body);
  await waitUntil(async () => (await Promise.all(clients.map(cancelled))).every((count) => count > 0));
  const look = async () => (await call(server, "GET", `/workers/scripts/leaving/rollouts/${id}`)).result;
  const visits = async () =>
    Object.values<{ exposures: number }>((await look()).counts.total).reduce(
      (sum, each) => sum + each.exposures,
      0,
    );
  const before = await visits();
  // Its visit arrives with or after all that was seen before.
  await cancelled("the last client");
  await waitUntil(async () => (await visits()) > Math.max(before, clients.length));
  expect((await look()).users_harmed).toBe(0);
});

test("a point in the dataset of the plan is a failure of the client that it names, and no other point is", async () => {
  const writing = (dataset: string): Upload => ({
    ...code(`export default { fetch(request, env) {
      env.EVENTS.writeDataPoint({ indexes: [request.headers.get("${KEY}")] });
      return new Response("ok");
    } };`),
    metadata: { bindings: [{ type: "analytics_engine", name: "EVENTS", dataset }] },
  });
  await deploy(server, "points", writing("fine"));
  const id = await begin("points", writing("bad"), { gates: { failures: { dataset: "bad" } } });
  const look = async () => (await call(server, "GET", `/workers/scripts/points/rollouts/${id}`)).result;
  let user = 0;
  await waitUntil(async () => {
    for (const _ of [1, 2, 3, 4, 5]) await sendTo(server, "points", { headers: { [KEY]: `user ${user++}` } });
    return (await look()).ended_on !== null;
  });
  const { phase, counts } = await look();
  expect(phase).toBe("rolled_back");
  expect(counts.total.candidate.failures).toBeGreaterThan(5);
  expect([counts.total.reference.failures, counts.total.beside.failures]).toEqual([0, 0]);
});
