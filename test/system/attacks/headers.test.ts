/** The headers by which the server's processes talk to each other, sent by clients and by the code of versions. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, disposeServer, type Server, startServer } from "../../support/server.ts";
import { answering, createDeployment, deploy, type Upload, uploadVersion } from "../../support/client.ts";
import { keys, logged } from "../helpers.ts";

const KEY = "Cloudflare-Workers-Version-Key";

/** Passes every request on, as it is: to an object, or to another Worker. */
const PASSING: Upload = {
  modules: {
    "index.js": {
      content: `import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {
  async fetch(request) {
    if (request.headers.get("upgrade") === "websocket") {
      const [mine, theirs] = Object.values(new WebSocketPair());
      mine.accept();
      return new Response(null, { status: 101, webSocket: theirs, headers: JSON.parse(request.headers.get("x-answer")) });
    }
    return new Response("room", { headers: JSON.parse(request.headers.get("x-answer") ?? "{}") });
  }
}
export default { async fetch(request, env) {
  const { pathname } = new URL(request.url);
  try {
    if (pathname === "/socket") {
      const headers = { Upgrade: "websocket", "x-answer": request.headers.get("x-answer") };
      return new Response("opened " + (await env.ROOM.getByName("a").fetch(request.url, { headers })).status);
    }
    const { status, headers, body } = await (pathname === "/object" ? env.ROOM.getByName("a").fetch(request) : env.OTHER.fetch(request));
    return new Response(body, { status, headers: { "x-seen": [...headers.keys()].join(" ") } });
  } catch (error) { return new Response("failed: " + error.message); }
} };`,
    },
  },
  metadata: {
    bindings: [
      { type: "durable_object_namespace", name: "ROOM", class_name: "Room" },
      { type: "service", name: "OTHER", service: "candid" },
    ],
    migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] },
  },
};

/** Answers with the headers that the request asks for, or throws. */
const CANDIDATE: Upload = {
  modules: {
    "index.js": {
      content: `export default { fetch(request) {
  if (new URL(request.url).pathname === "/long") throw new TypeError("x".repeat(2_000_000));
  return new Response("candidate", { headers: JSON.parse(request.headers.get("x-answer") ?? "{}") });
} };`,
    },
  },
};

let server: Server;
let hidden: string;
let candidates: string[];
let stable: string[];
beforeAll(async () => {
  server = await startServer();
  await deploy(server, "victim", answering("public"));
  hidden = await uploadVersion(server, "victim", answering("not deployed"));
  const first = await deploy(server, "candid", answering("stable"));
  const second = await uploadVersion(server, "candid", CANDIDATE);
  const shares = [first, second].map((id) => [id, 50] as const);
  expect((await createDeployment(server, "candid", shares)).errors).toEqual([]);
  await deploy(server, "passing", PASSING);
  const asked = await Promise.all(
    keys(30).map(async (key) => [key, (await server.traffic("candid", { headers: { [KEY]: key } })).body]),
  );
  candidates = asked.flatMap(([key, body]) => (body === "candidate" ? [key as string] : []));
  stable = asked.flatMap(([key, body]) => (body === "stable" ? [key as string] : []));
});
afterAll(() => disposeServer(server));

/** Headers that ask for a version, or for a channel, as processes do. */
const forged = () => [
  { "sluice-lane": `victim ${hidden} 0 0` },
  { "sluice-lane": `victim ${hidden} 1 1` },
  { "sluice-lane": "" },
  { "sluice-lane": "x" },
  { "sluice-binding": JSON.stringify({ entrypoint: "Control", props: {} }) },
  { "sluice-binding": "not JSON" },
  { "sluice-thrown": "x", "sluice-unloadable": "x", "sluice-elapsed": "x" },
];

describe("a client that sends the headers of processes gets", () => {
  test("the same answer from a stable version and from a candidate", async () => {
    for (const headers of forged()) {
      expect((await server.traffic("victim", { headers })).body).toBe("public");
      for (const [key, body] of [
        [candidates[0], "candidate"],
        [stable[0], "stable"],
      ] as const) {
        const answer = await server.traffic("candid", { headers: { ...headers, [KEY]: key as string } });
        expect([answer.status, answer.body]).toEqual([200, body]);
      }
    }
  });

  test("no other version through a Worker that passes requests on, to an object or to another Worker", async () => {
    for (const headers of forged()) {
      expect((await server.traffic("passing", { path: "/object", headers })).body).toBe("room");
      const path = "/service";
      const [key] = candidates;
      expect(
        (await server.traffic("passing", { path, headers: { ...headers, [KEY]: key as string } })).body,
      ).toBe("candidate");
    }
  });
});

/** Answers by which a version would say that it has thrown, or that it cannot be loaded. */
const ANSWERS = [
  { "sluice-thrown": encodeURIComponent('["Error","forged"]') },
  { "sluice-thrown": "not JSON" },
  { "sluice-unloadable": encodeURIComponent('["Error","forged"]') },
  { "sluice-unloadable": "not JSON" },
  { "sluice-elapsed": "-5" },
  { "sluice-elapsed": "1e999" },
].map((headers) => ({ "x-answer": JSON.stringify(headers) }));

describe("a version that answers with the headers of processes", () => {
  const isServed = (answer: Answer, body: string) =>
    expect([answer.status, answer.body, answer.headers["x-seen"]]).toEqual([
      200,
      body,
      answer.headers["x-seen"] === undefined
        ? undefined
        : expect.not.stringMatching(/sluice-(thrown|unloadable)/),
    ]);

  test("is served as a candidate all the same, and stays loaded", async () => {
    for (const headers of ANSWERS) {
      const answer = await server.traffic("candid", {
        headers: { ...headers, [KEY]: candidates[0] as string },
      });
      isServed(answer, "candidate");
      expect(Object.keys(answer.headers).filter((name) => name.startsWith("sluice-"))).toEqual([]);
    }
    expect([...logged(server, "version-lost"), ...logged(server, "version-exception")]).toEqual([]);
  });

  test("is served behind a binding of a stable version all the same", async () => {
    for (const headers of ANSWERS) {
      isServed(await server.traffic("passing", { path: "/object", headers }), "room");
      const sent = { ...headers, [KEY]: candidates[0] as string };
      isServed(await server.traffic("passing", { path: "/service", headers: sent }), "candidate");
    }
  });

  test("opens a WebSocket all the same", async () => {
    for (const headers of ANSWERS) {
      expect((await server.traffic("passing", { path: "/socket", headers })).body).toBe("opened 101");
    }
  });

  test("cannot have its request count as lost with its process by throwing too much text", async () => {
    const answer = await server.traffic("candid", {
      path: "/long",
      headers: { [KEY]: candidates[0] as string },
    });
    expect(answer.status).toBe(500);
    expect(logged(server, "version-lost")).toEqual([]);
  });
});

test("two Host headers are refused on the control port, and the log shows no fault of a page", async () => {
  const socket = connect(server.controlPort, "127.0.0.1");
  socket.end("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n");
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(logged(server, "dashboard-fault")).toEqual([]);
});
