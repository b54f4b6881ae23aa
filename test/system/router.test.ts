/** The traffic side: who gets which version, and that a request and its answer pass through unharmed. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  answering,
  call,
  createDeployment,
  deploy,
  IS_SPLIT,
  readEnvelope,
  type Upload,
  uploadForm,
  uploadVersion,
} from "../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../support/server.ts";
import {
  answersFor,
  beginPost,
  inParallel,
  keys,
  logged,
  NAMING_ITSELF,
  type RawAnswer,
  type RawRequest,
  send,
  sendCarefully,
  storedBlobs,
  versionFiles,
} from "./helpers.ts";

const KEY = "Cloudflare-Workers-Version-Key";
const OVERRIDES = "Cloudflare-Workers-Version-Overrides";
const MiB = 1024 * 1024;

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

const code = (content: string): Upload => ({ modules: { "index.js": { content } } });

/** A request to a Worker on a connection of its own. */
const to = (worker: string, raw: Omit<RawRequest, "port" | "host"> = {}): Promise<RawAnswer> =>
  send({ ...raw, port: server.trafficPort, host: `${worker}.localhost` });

/** Two versions that answer with their own ids, as `[stable, candidate]`. */
async function twoVersions(worker: string, percentage: number): Promise<[string, string]> {
  const stable = await deploy(server, worker, NAMING_ITSELF);
  const candidate = await uploadVersion(server, worker, NAMING_ITSELF);
  await split(worker, [stable, 100 - percentage], [candidate, percentage]);
  return [stable, candidate];
}

async function split(worker: string, ...shares: [string, number][]): Promise<void> {
  const reply = await createDeployment(server, worker, shares);
  expect(reply.errors).toEqual([]);
}

describe("the split", () => {
  test("gives a key the same version each time, on any connection, path and method", async () => {
    const [stable, candidate] = await twoVersions("sticky", 40);
    const first = await answersFor(server, "sticky", keys(100));
    expect(new Set(first.values())).toEqual(new Set([stable, candidate]));
    expect(await answersFor(server, "sticky", keys(100))).toEqual(first);
    await inParallel(8, keys(100), async (key) => {
      const answer = await to("sticky", { path: `/${key}?x=1`, method: "DELETE", headers: { [KEY]: key } });
      expect(answer.body.toString()).toBe(first.get(key));
    });
  });

  test("takes no key away from the candidate while its share rises, whatever the order of the versions", async () => {
    const [stable, candidate] = await twoVersions("rising", 0);
    const asked = keys(200);
    let onCandidate = new Set<string>();
    for (const percentage of [0, 1, 10, 33.333, 50, 90, 100]) {
      const shares: [string, number][] = [
        [stable, 100 - percentage],
        [candidate, percentage],
      ];
      await split("rising", ...shares);
      const answers = await answersFor(server, "rising", asked);
      await split("rising", ...shares.reverse());
      expect(await answersFor(server, "rising", asked)).toEqual(answers);
      const now = new Set(asked.filter((key) => answers.get(key) === candidate));
      expect([...onCandidate].filter((key) => !now.has(key))).toEqual([]);
      onCandidate = now;
    }
    expect(onCandidate.size).toBe(200);
  });

  test("gives 0% to nobody and 100% to everybody", async () => {
    const [stable, candidate] = await twoVersions("ends", 0);
    expect(new Set((await answersFor(server, "ends", keys(100))).values())).toEqual(new Set([stable]));
    await split("ends", [stable, 0], [candidate, 100]);
    expect(new Set((await answersFor(server, "ends", keys(100))).values())).toEqual(new Set([candidate]));
  });

  test("draws for each request where there is no key, and an empty key is none", async () => {
    const [stable, candidate] = await twoVersions("random", 50);
    for (const headers of [{}, { [KEY]: "" }]) {
      const answers: string[] = [];
      await inParallel(8, keys(400), async () => {
        answers.push((await server.traffic("random", { headers })).body);
      });
      // 200 of each are expected; outside of these bounds once in 10^15 runs.
      for (const id of [stable, candidate]) {
        const count = answers.filter((answer) => answer === id).length;
        expect(count).toBeGreaterThan(120);
        expect(count).toBeLessThan(280);
      }
    }
  });

  test("follows the override header to any version of the deployment, 0% included, before the key", async () => {
    const [stable, candidate] = await twoVersions("override", 0);
    for (const [header, id] of [
      [`override="${candidate}"`, candidate],
      [`override="${stable}"`, stable],
      [`other="${stable}", override="${candidate}"`, candidate],
      [`override="${candidate}";note=1`, candidate],
    ] as const) {
      const answer = await server.traffic("override", { headers: { [OVERRIDES]: header, [KEY]: "k" } });
      expect(answer.body).toBe(id);
    }
  });

  test("ignores an override that names anything else, and one that cannot be read", async () => {
    const [stable, candidate] = await twoVersions("ignoring", 0);
    const retired = await deploy(server, "ignoring", NAMING_ITSELF);
    await split("ignoring", [stable, 100], [candidate, 0]);
    const elsewhere = await deploy(server, "elsewhere", NAMING_ITSELF);
    for (const header of [
      `ignoring="${retired}"`,
      `ignoring="${elsewhere}"`,
      'ignoring="00000000-0000-4000-8000-000000000000"',
      `Ignoring="${candidate}"`,
      `other="${candidate}"`,
      `ignoring=${candidate}`,
      `ignoring="${candidate}`,
      `ignoring="${candidate}",`,
      `ignoring=("${candidate}")`,
      "ignoring",
      "ignoring=1",
      'ignoring=""',
      `"${candidate}"`,
      "=",
      ",,,",
      "\u00ff\u00fe",
      `ignoring=${"x".repeat(4000)}`,
    ]) {
      const answer = await server.traffic("ignoring", { headers: { [OVERRIDES]: header } });
      expect([answer.status, answer.body], header).toEqual([200, stable]);
    }
  });

  test("keys by the client's address where the operator names a header for it, after the key header", async () => {
    const other = await useServer({ args: ["--address-header", "X-Real-IP", "--domain", "apps.example"] });
    const ask = async (headers: Record<string, string>) => {
      const host = "by-address.apps.example";
      return (await send({ port: other.trafficPort, host, headers })).body.toString();
    };
    const stable = await deploy(other, "by-address", NAMING_ITSELF);
    const candidate = await uploadVersion(other, "by-address", NAMING_ITSELF);
    await createDeployment(other, "by-address", [
      [stable, 50],
      [candidate, 50],
    ]);
    const addresses = Array.from({ length: 60 }, (_, i) => `192.0.2.${i}`);
    const seen = new Set<string>();
    await inParallel(8, addresses, async (address) => {
      const [first, second, keyed] = await Promise.all([
        ask({ "X-Real-IP": address }),
        ask({ "X-Real-IP": address }),
        ask({ [KEY]: address }),
      ]);
      expect([second, keyed]).toEqual([first, first]);
      expect(await ask({ "X-Real-IP": "192.0.2.1", [KEY]: address })).toBe(first);
      seen.add(first);
    });
    expect(seen).toEqual(new Set([stable, candidate]));
    expect((await other.traffic("by-address")).status).toBe(404);
  });
});

describe("a host without a Worker", () => {
  test("gets a 404 that names the host and nothing else", async () => {
    await deploy(server, "present", answering("present"));
    for (const host of [
      "nobody.localhost",
      `nobody.localhost:${server.trafficPort}`,
      "localhost",
      `127.0.0.1:${server.trafficPort}`,
      "present.example.org",
      "present.localhost.example.org",
      "a.present.localhost",
      "presentlocalhost",
      ".localhost",
      "-present.localhost",
      `${"x".repeat(64)}.localhost`,
    ]) {
      const answer = await send({ port: server.trafficPort, host, path: "/some/path?secret=1" });
      expect(answer.status).toBe(404);
      expect(answer.body.toString()).toBe(`There is no Worker at ${host}.\n`);
      expect(answer.headers["content-type"]).toBe("text/plain; charset=utf-8");
      expect(Object.keys(answer.headers).filter((name) => /server|powered|sluice|cf-/i.test(name))).toEqual(
        [],
      );
    }
  });

  test("is found whatever the case of its name", async () => {
    await deploy(server, "present", answering("present"));
    for (const host of ["present.localhost", "PRESENT.LocalHost", "Present.localhost:1"]) {
      expect((await send({ port: server.trafficPort, host })).body.toString()).toBe("present");
    }
  });

  test("gets the same where the Worker is switched off, until it is switched on", async () => {
    await deploy(server, "switched", answering("on"));
    await call(server, "POST", "/workers/scripts/switched/subdomain", { enabled: false });
    expect(await server.traffic("switched")).toMatchObject({ status: 404 });
    await deploy(server, "switched", answering("on"));
    expect(await server.traffic("switched")).toMatchObject({ status: 404 });
    await call(server, "POST", "/workers/scripts/switched/subdomain", { enabled: true });
    expect(await server.traffic("switched")).toMatchObject({ status: 200, body: "on" });
  });
});

describe("a request reaches the Worker as it was sent, and the answer comes back as it was given:", () => {
  const MIRROR = code(`export default {
    async fetch(request) {
      const body = new Uint8Array(await request.arrayBuffer());
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", body)).toHex();
      const seen = { method: request.method, url: request.url, headers: [...request.headers], length: body.length, hash };
      return Response.json(seen, { headers: { "X-Method": request.method } });
    },
  };`);

  beforeAll(async () => {
    await deploy(server, "mirror", MIRROR);
    await deploy(server, "echo", code("export default { fetch: (request) => new Response(request.body) };"));
  });

  const mirrored = async (raw: Omit<RawRequest, "port" | "host">) => {
    const answer = await to("mirror", raw);
    expect(answer.status).toBe(200);
    return JSON.parse(answer.body.toString());
  };
  const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

  test("every path, also those that the control side uses", async () => {
    for (const path of [
      "/",
      "/?",
      "/a/b/c.html",
      "/a//b///c",
      "//double",
      "/client/v4/accounts/sluice/workers/scripts/mirror",
      "/healthz",
      "/metrics",
      "/__sluice__",
      "/cdn-cgi/handler/scheduled",
      "/cdn-cgi/mf/reload",
      "/a%20b%2Fc%252F%00",
      "/?x=1&x=2&y=%26&empty=&flag",
      "/?redirect=https://example.org/a?b=c",
      `/${"long/".repeat(500)}`,
    ]) {
      expect((await mirrored({ path })).url).toBe(`http://mirror.localhost${path}`);
    }
  });

  test("every method, with and without a body", async () => {
    for (const method of [
      "GET",
      "POST",
      "PUT",
      "PATCH",
      "DELETE",
      "OPTIONS",
      "PROPFIND",
      "REPORT",
      "PURGE",
    ]) {
      expect(await mirrored({ method })).toMatchObject({ method, length: 0 });
      if (method === "GET") continue;
      const body = randomBytes(1000);
      expect(await mirrored({ method, body })).toMatchObject({ method, length: 1000, hash: sha256(body) });
    }
  });

  test("HEAD, whose answer has the headers and no body", async () => {
    const answer = await to("mirror", { method: "HEAD" });
    expect(answer.status).toBe(200);
    expect(answer.headers["x-method"]).toBe("HEAD");
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.body).toHaveLength(0);
  });

  test("every header, those of the split included, and none that the client did not send", async () => {
    const sent = {
      accept: "text/html, */*;q=0.1",
      authorization: "Bearer of-the-end-user",
      cookie: "a=1; b=2",
      "cf-connecting-ip": "192.0.2.7",
      "cloudflare-workers-version-key": "a key, with = signs",
      "cloudflare-workers-version-overrides": 'mirror="nothing"',
      "user-agent": "test",
      "x-forwarded-for": "192.0.2.7, 198.51.100.1",
      "x-many": "1, 2",
    };
    const { headers } = await mirrored({ headers: sent });
    const received = Object.fromEntries(headers);
    expect(received).toMatchObject(sent);
    const extra = Object.keys(received).filter((name) => !Object.hasOwn(sent, name));
    expect(extra.filter((name) => name !== "host" && name !== "connection")).toEqual([]);
  });

  test("a body of 5 MB in pieces, both ways", async () => {
    const pieces = Array.from({ length: 80 }, () => randomBytes(64 * 1024));
    function* body() {
      yield* pieces;
    }
    const whole = Buffer.concat(pieces);
    expect(await mirrored({ method: "POST", body: body() })).toMatchObject({
      length: whole.length,
      hash: sha256(whole),
    });
    for (const form of [body(), whole]) {
      const answer = await to("echo", { method: "PUT", body: form });
      expect(answer.status).toBe(200);
      expect(sha256(answer.body)).toBe(sha256(whole));
    }
  });

  test("a request that expects 100 Continue, however the client goes on", async () => {
    const text = "x".repeat(100_000);
    const headers = { "Content-Length": String(text.length), Host: "mirror.localhost" };
    const answer = await sendCarefully(server.trafficPort, "POST", "/expect", headers, [Buffer.from(text)]);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ method: "POST", length: text.length });
    const impatient = await mirrored({
      method: "POST",
      body: Buffer.from(text),
      headers: { Expect: "100-continue" },
    });
    expect(impatient).toMatchObject({ length: text.length });
  });

  test("every status, redirects not followed, cookies not merged", async () => {
    await deploy(
      server,
      "statuses",
      code(`export default {
        fetch(request) {
          const status = Number(new URL(request.url).pathname.slice(1));
          const headers = new Headers({ "X-Mine": "yes" });
          headers.append("Set-Cookie", "a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT");
          headers.append("Set-Cookie", "b=2");
          if (status >= 300 && status < 400) headers.set("Location", "http://mirror.localhost/elsewhere");
          return new Response([204, 304].includes(status) ? null : "body " + status, { status, headers });
        },
      };`),
    );
    for (const status of [
      200, 201, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 404, 418, 429, 500, 503,
    ]) {
      const answer = await to("statuses", { path: `/${status}` });
      expect(answer.status).toBe(status);
      expect(answer.body.toString()).toBe([204, 304].includes(status) ? "" : `body ${status}`);
      expect(answer.headers["x-mine"]).toBe("yes");
      expect(answer.headers["set-cookie"]).toEqual(["a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT", "b=2"]);
      const moved = status >= 300 && status < 400;
      expect(answer.headers.location).toBe(moved ? "http://mirror.localhost/elsewhere" : undefined);
    }
  });

  test("compressed once where the Worker asks for it, and bytes that are compressed already are left alone", async () => {
    await deploy(
      server,
      "zipped",
      code(`export default {
        async fetch(request) {
          const headers = { "Content-Encoding": "gzip" };
          if (new URL(request.url).pathname === "/auto") return new Response("a text ".repeat(100), { headers });
          const stream = new Blob(["a text ".repeat(100)]).stream().pipeThrough(new CompressionStream("gzip"));
          return new Response(stream, { headers, encodeBody: "manual" });
        },
      };`),
    );
    for (const path of ["/auto", "/manual"]) {
      const answer = await to("zipped", { path, headers: { "Accept-Encoding": "gzip" } });
      expect(answer.headers["content-encoding"]).toBe("gzip");
      expect(gunzipSync(answer.body).toString()).toBe("a text ".repeat(100));
    }
  });

  test("server-sent events come one by one, each before the next is made", async () => {
    await deploy(
      server,
      "events",
      // Each piece of the request's body makes an event, so that the client decides when the next one is made.
      code(`export default {
        fetch(request) {
          let id = 0;
          const events = new TransformStream({
            transform(chunk, controller) {
              const data = new TextDecoder().decode(chunk);
              controller.enqueue(new TextEncoder().encode("id: " + ++id + "\\ndata: " + data + "\\n\\n"));
            },
          });
          return new Response(request.body.pipeThrough(events), { headers: { "Content-Type": "text/event-stream" } });
        },
      };`),
    );
    const { outgoing, response } = await beginPost(server, "events", "1");
    expect(response.headers["content-type"]).toBe("text/event-stream");
    let received = "";
    response.on("data", (chunk: Buffer) => {
      received += chunk;
    });
    for (let id = 1; id <= 5; id++) {
      await waitUntil(() => received.endsWith(`id: ${id}\ndata: ${id}\n\n`));
      expect(received.match(/id: /g)).toHaveLength(id);
      if (id < 5) outgoing.write(String(id + 1));
    }
    outgoing.end();
    await once(response, "end");
  });

  test("a body that breaks off is not passed off as whole", async () => {
    await deploy(
      server,
      "breaking",
      code(`export default {
        fetch() {
          let pulls = 0;
          const body = new ReadableStream({
            pull(controller) {
              if (pulls++ < 3) controller.enqueue(new TextEncoder().encode("part "));
              else controller.error(new Error("broken on purpose"));
            },
          });
          return new Response(body);
        },
      };`),
    );
    await expect(to("breaking")).rejects.toThrow(/aborted|hang up|reset/i);
    expect((await server.traffic("echo", { method: "POST", body: "still here" })).body).toBe("still here");
  });

  test("WebSockets, in both directions, to the version that the key decides", async () => {
    const socketWorker = (name: string) =>
      code(`export default {
        fetch(request) {
          if (request.headers.get("Upgrade") !== "websocket") return new Response("no socket", { status: 426 });
          const [client, server] = Object.values(new WebSocketPair());
          server.accept();
          server.addEventListener("message", ({ data }) => {
            if (data === "bye") server.close(4001, "as asked");
            else server.send("${name} heard " + data);
          });
          server.send("${name} is here");
          return new Response(null, { status: 101, webSocket: client });
        },
      };`);
    const stable = await deploy(server, "sockets", socketWorker("stable"));
    const candidate = await uploadVersion(server, "sockets", socketWorker("candidate"));
    await split("sockets", [stable, 50], [candidate, 50]);
    const names = new Set<string>();
    for (const key of keys(12)) {
      const { result } = await call(server, "GET", `/workers/scripts/sockets/explain?key=${key}`);
      const name = result.version_id === stable ? "stable" : "candidate";
      names.add(name);
      const socket = await openWebSocket("sockets", { [KEY]: key });
      expect(await socket.next()).toEqual([TEXT, `${name} is here`]);
      for (const text of ["one", "two", "x".repeat(100)]) {
        socket.send(TEXT, text);
        expect(await socket.next()).toEqual([TEXT, `${name} heard ${text}`]);
      }
      socket.send(TEXT, "bye");
      expect(await socket.next()).toEqual([CLOSE, `${String.fromCharCode(4001 >> 8, 4001 & 255)}as asked`]);
      socket.end();
    }
    expect(names).toEqual(new Set(["stable", "candidate"]));
    expect(await server.traffic("sockets")).toMatchObject({ status: 426, body: "no socket" });
  });

  const TEXT = 1;
  const CLOSE = 8;

  /** A WebSocket by hand: short frames only. Frames are `[opcode, latin-1 text]`. */
  async function openWebSocket(worker: string, headers: Record<string, string>) {
    const outgoing = request({
      host: "127.0.0.1",
      port: server.trafficPort,
      headers: {
        ...headers,
        Host: `${worker}.localhost`,
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
      },
      agent: false,
    });
    outgoing.end();
    const [response, socket, head] = (await once(outgoing, "upgrade")) as [IncomingMessage, Socket, Buffer];
    expect(response.statusCode).toBe(101);
    expect(response.headers["sec-websocket-accept"]).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let buffer = head;
    socket.on("data", (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
    });
    onTestFinished(() => void socket.destroy());
    return {
      send(opcode: number, text: string): void {
        const mask = randomBytes(4);
        const payload = Buffer.from(text).map((byte, i) => byte ^ (mask[i % 4] as number));
        socket.write(Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, payload]));
      },
      async next(): Promise<[number, string]> {
        const whole = () => buffer.length >= 2 && buffer.length >= 2 + ((buffer[1] as number) & 0x7f);
        await waitUntil(whole);
        const [first, length] = buffer as unknown as [number, number];
        const payload = buffer.subarray(2, 2 + length).toString("latin1");
        buffer = buffer.subarray(2 + length);
        return [first & 0x0f, payload];
      },
      end: () => socket.end(),
    };
  }
});

describe("a version that fails", () => {
  test("while it answers gives a 500 with nothing internal, and goes on serving", async () => {
    const id = await deploy(
      server,
      "throwing",
      code(`export default {
        async fetch(request) {
          const { pathname } = new URL(request.url);
          if (pathname === "/throw") throw new Error("password=hunter2");
          if (pathname === "/null") throw null;
          if (pathname === "/reject") await Promise.reject(new TypeError("password=hunter2"));
          if (pathname === "/nothing") return undefined;
          if (pathname === "/wrong") return { status: 200 };
          if (pathname === "/own") return new Response("my own words", { status: 500 });
          return new Response("fine");
        },
      };`),
    );
    for (const path of ["/throw", "/null", "/reject", "/nothing", "/wrong"]) {
      const answer = await server.traffic("throwing", { path, method: "POST", body: "a body" });
      expect([path, answer.status]).toEqual([path, 500]);
      expect(answer.body).toBe("The Worker failed to answer this request.\n");
      expect(JSON.stringify(answer)).not.toMatch(new RegExp(`hunter2|Error:|index\\.js|${id.slice(0, 8)}`));
      expect((await server.traffic("throwing")).body).toBe("fine");
    }
    expect(await server.traffic("throwing", { path: "/own" })).toMatchObject({
      status: 500,
      body: "my own words",
    });
    // The operator does learn why.
    await waitUntil(() => server.output.includes("password=hunter2"));
  });

  test.each([
    ["no default export but a class", "export class Room {}"],
    ["no default export but a handler", "export const other = { fetch: () => new Response('other') };"],
    ["no exports at all", "globalThis.value = 1;"],
    ["no fetch handler", "export default { scheduled() {} };"],
    ["an empty default export", "export default {};"],
    ["a fetch that is no function", "export default { fetch: 7 };"],
  ])("because it has %s gives a 500 or is refused, and never hangs", async (what, content) => {
    const worker = `lacking-${what.length}`;
    const reply = await call(server, "PUT", `/workers/scripts/${worker}`, uploadForm(code(content)));
    if (!reply.success) {
      expect(reply.status).toBe(400);
      expect((await server.traffic(worker)).status).toBe(404);
      return;
    }
    const answer = await server.traffic(worker);
    expect(answer.status).toBe(500);
    expect(answer.body).not.toMatch(/entrypoint|Error|sluice/i);
    await deploy(server, worker, answering("repaired"));
    expect((await server.traffic(worker)).body).toBe("repaired");
  });

  test("alone: the other one of the split is not asked instead, and its body is not sent twice", async () => {
    const stable = await deploy(
      server,
      "alone",
      code("export default { fetch: async (request) => new Response(await request.text()) };"),
    );
    const candidate = await uploadVersion(
      server,
      "alone",
      code(
        "export default { async fetch(request) { await request.text(); throw new Error('after the body'); } };",
      ),
    );
    await split("alone", [stable, 50], [candidate, 50]);
    for (const key of keys(30)) {
      const { result } = await call(server, "GET", `/workers/scripts/alone/explain?key=${key}`);
      const answer = await server.traffic("alone", { method: "POST", body: key, headers: { [KEY]: key } });
      expect([answer.status, answer.body]).toEqual(
        result.version_id === stable ? [200, key] : [500, "The Worker failed to answer this request.\n"],
      );
    }
  });
});

describe("stored code that was lost or damaged while the server was stopped", () => {
  const WORKERS = [
    ...["missing", "empty", "garbled", "cut-off", "another-program"],
    ...["stable-missing", "both-missing", "record", "bystander"],
  ] as const;
  type Damaged = (typeof WORKERS)[number];

  const ECHO_ID = {
    ...code(`export default {
      fetch: async (request, env) => new Response(env.VERSION.id + (await request.text())),
    };`),
    metadata: { bindings: [{ type: "version_metadata", name: "VERSION" }] },
  };
  const ids = {} as Record<Damaged, { readonly stable: string; readonly candidate: string }>;
  let server: Server;

  beforeAll(async () => {
    server = await startServer();
    for (const worker of WORKERS) {
      const stable = await deploy(server, worker, ECHO_ID);
      const candidate = await uploadVersion(server, worker, ECHO_ID);
      await createDeployment(server, worker, [
        [stable, 50],
        [candidate, 50],
      ]);
      ids[worker] = { stable, candidate };
    }
    expect(await server.stop()).toBe(0);

    const fileOf = async (id: string) => {
      const files = await versionFiles(server, id);
      expect(files).toHaveLength(1);
      return files[0] as string;
    };
    const candidateFile = (worker: Damaged) => fileOf(ids[worker].candidate);
    await rm(await candidateFile("missing"));
    await writeFile(await candidateFile("empty"), "");
    await writeFile(await candidateFile("garbled"), randomBytes(2000));
    const cut = await candidateFile("cut-off");
    await writeFile(cut, (await readFile(cut)).subarray(0, -10));
    const other = await candidateFile("another-program");
    await writeFile(other, (await readFile(other, "utf8")).replace("export default", "throw new Err("));
    await rm(await fileOf(ids["stable-missing"].stable));
    await rm(await fileOf(ids["both-missing"].stable));
    await writeFile(await candidateFile("both-missing"), "garbage");
    const records = (await storedBlobs(server)).filter(
      ({ content }) => content.includes('"schema":1') && content.includes('"worker":"record"'),
    );
    expect(records).toHaveLength(1);
    await writeFile(records[0]?.path as string, '{"schema":1,"worker":"record","ver');

    server = await startServer({ like: server });
  });

  afterAll(() => disposeServer(server));

  test.skipIf(IS_SPLIT).each(["missing", "empty", "garbled", "cut-off", "another-program"] as const)(
    "of the candidate (%s): the stable version serves everybody, with whole bodies, and a deploy heals it",
    async (worker) => {
      const { stable, candidate } = ids[worker];
      await inParallel(4, keys(40), async (key) => {
        const answer = await server.traffic(worker, {
          method: "POST",
          body: ` ${key}`,
          headers: { [KEY]: key },
        });
        expect([answer.status, answer.body]).toEqual([200, `${stable} ${key}`]);
      });
      const headers = { [OVERRIDES]: `${worker}="${candidate}"` };
      expect(await server.traffic(worker, { headers })).toMatchObject({ status: 200, body: stable });
      await waitUntil(() =>
        logged(server, "version-unavailable").some(({ version }) => version === candidate),
      );

      const healed = await deploy(server, worker, NAMING_ITSELF);
      expect((await server.traffic(worker)).body).toBe(healed);
    },
  );

  test("of the stable version: the candidate takes over", async () => {
    const answers = await answersFor(server, "stable-missing", keys(20));
    expect(new Set(answers.values())).toEqual(new Set([ids["stable-missing"].candidate]));
  });

  test("of both: 503 with Retry-After and nothing internal, the API works on, and a deploy heals it", async () => {
    const { stable, candidate } = ids["both-missing"];
    for (const key of keys(5)) {
      const answer = await server.traffic("both-missing", { headers: { [KEY]: key } });
      expect(answer.status).toBe(503);
      expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
      expect(answer.body).not.toMatch(new RegExp(`KV|Error|${stable.slice(0, 8)}|${candidate.slice(0, 8)}`));
    }
    // The latest version's code is what a secret would be added to.
    const secret = await call(server, "PATCH", "/workers/workers/both-missing/versions/latest", {
      env: { A: { type: "secret_text", text: "x" } },
    });
    expect(secret).toMatchObject({ status: 503, success: false });
    expect(secret.errors[0]?.message).toContain(candidate);
    const healed = await deploy(server, "both-missing", NAMING_ITSELF);
    const active = (await call(server, "GET", "/workers/scripts/both-missing/deployments")).result
      .deployments[0];
    const serving = active.versions.map((share: { version_id: string }) => share.version_id);
    expect(serving).toContain(healed);
    expect(serving).not.toContain(candidate);
    expect(serving).toContain((await server.traffic("both-missing")).body);
  });

  test("and a deployment record that does not parse: 503 with Retry-After, until the next deployment", async () => {
    const answer = await server.traffic("record");
    expect(answer.status).toBe(503);
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(0);
    const { stable } = ids.record;
    expect((await createDeployment(server, "record", [[stable, 100]])).errors).toEqual([]);
    expect((await server.traffic("record")).body).toBe(stable);
  });

  test("does no other Worker any harm", async () => {
    const { stable, candidate } = ids.bystander;
    const answers = await answersFor(server, "bystander", keys(50));
    expect(new Set(answers.values())).toEqual(new Set([stable, candidate]));
    expect(logged(server, "version-unavailable").filter(({ worker }) => worker === "bystander")).toEqual([]);
  });
});

test.skipIf(IS_SPLIT)(
  "a flip of the split under load fails no request, and the next request follows it",
  async () => {
    const one = await deploy(server, "flipping", NAMING_ITSELF);
    const two = await uploadVersion(server, "flipping", NAMING_ITSELF);
    await deploy(server, "flipping-echo", code("export default { fetch: (r) => new Response(r.body) };"));
    // A request that lasts through all of it.
    const { outgoing, response: lasting } = await beginPost(server, "flipping-echo", "begin ");

    let done = false;
    let served = 0;
    const seen = new Set<string>();
    const failures: string[] = [];
    const lane = async (name: string) => {
      for (let i = 0; !done; i++) {
        const headers: Record<string, string> = i % 2 === 0 ? { [KEY]: `${name}-${i}` } : {};
        await server.traffic("flipping", { headers }).then(
          ({ status, body }) => {
            if (status !== 200) failures.push(`${status} ${body}`);
            seen.add(body);
            served++;
          },
          (error) => failures.push(String(error)),
        );
      }
    };
    const load = Promise.all(keys(6, "lane").map(lane));
    try {
      for (let flip = 0; flip < 25; flip++) {
        const [from, to] = flip % 2 === 0 ? [one, two] : [two, one];
        await split("flipping", [from, 90], [to, 10]);
        await split("flipping", [from, 0], [to, 100]);
        expect((await server.traffic("flipping", { headers: { [KEY]: "k" } })).body).toBe(to);
        await split("flipping", [to, 100]);
        expect((await server.traffic("flipping")).body).toBe(to);
        if (flip % 5 === 0) await deploy(server, "flipping-echo", answering(`echo ${flip}`));
      }
    } finally {
      done = true;
      await load;
    }
    outgoing.end("end");
    let text = "";
    for await (const chunk of lasting) text += chunk;
    expect(text).toBe("begin end");
    expect(failures).toEqual([]);
    expect(served).toBeGreaterThan(50);
    expect(seen).toEqual(new Set([one, two]));
  },
);

describe("a Worker", () => {
  test.skipIf(IS_SPLIT)(
    "that is deleted is gone at once, and made again it serves the new code, without the old secrets and versions",
    async () => {
      const old = await deploy(server, "phoenix", {
        ...NAMING_ITSELF,
        metadata: {
          bindings: [
            { type: "version_metadata", name: "VERSION" },
            { type: "secret_text", name: "OLD", text: "secret" },
          ],
        },
      });
      expect((await server.traffic("phoenix")).body).toBe(old);
      for (let round = 0; round < 3; round++) {
        expect((await call(server, "DELETE", "/workers/services/phoenix")).success).toBe(true);
        const gone = await server.traffic("phoenix");
        expect([gone.status, gone.body]).toEqual([
          404,
          `There is no Worker at phoenix.localhost:${server.trafficPort}.\n`,
        ]);
        expect((await call(server, "GET", "/workers/scripts/phoenix/versions")).status).toBe(404);
        expect(await versionFiles(server, old)).toEqual(round === 0 ? expect.anything() : []);

        const id = await deploy(
          server,
          "phoenix",
          code("export default { fetch: (r, env) => Response.json(env) };"),
        );
        expect((await server.traffic("phoenix")).body).toBe("{}");
        const versions = await call(server, "GET", "/workers/scripts/phoenix/versions");
        expect(versions.result.items.map((version: { id: string }) => version.id)).toEqual([id]);
        const overridden = await server.traffic("phoenix", { headers: { [OVERRIDES]: `phoenix="${old}"` } });
        expect(overridden.body).toBe("{}");
        await waitUntil(async () => (await versionFiles(server, old)).length === 0);
      }
    },
  );

  test.skipIf(IS_SPLIT)(
    "sees its own variables and nothing of another one, nor what another version keeps in memory",
    async () => {
      const spy = (name: string) => ({
        ...code(`let requests = 0;
        export default {
          fetch(request, env) {
            const found = globalThis.planted ?? null;
            globalThis.planted = "${name}";
            return Response.json({ env, found, requests: ++requests });
          },
        };`),
        metadata: {
          bindings: [
            { type: "plain_text", name: "NAME", text: name },
            { type: "json", name: "DATA", json: { of: [name] } },
            { type: "secret_text", name: "SECRET", text: `secret of ${name}` },
          ],
        },
      });
      const ids: string[] = [];
      for (const name of ["left", "right"]) ids.push(await deploy(server, name, spy(name)));
      const next = await uploadVersion(server, "left", spy("next"));
      await split("left", [ids[0] as string, 100], [next, 0]);
      const env = (name: string) => ({ NAME: name, DATA: { of: [name] }, SECRET: `secret of ${name}` });
      for (const [worker, name, headers] of [
        ["left", "left", {}],
        ["right", "right", {}],
        ["left", "next", { [OVERRIDES]: `left="${next}"` }],
      ] as const) {
        const first = JSON.parse((await server.traffic(worker, { headers })).body);
        expect(first).toEqual({ env: env(name), found: null, requests: 1 });
        const second = JSON.parse((await server.traffic(worker, { headers })).body);
        expect(second).toEqual({ env: env(name), found: name, requests: 2 });
      }
    },
  );

  test("does not find in the cache what another Worker put there", async () => {
    const cacher = code(`export default {
      async fetch(request) {
        const name = "http://cache.example/shared";
        if (request.method === "PUT") {
          await caches.default.put(name, new Response("secret", { headers: { "Cache-Control": "max-age=600" } }));
          return new Response("stored");
        }
        const found = await caches.default.match(name);
        return new Response(found === undefined ? "nothing" : await found.text());
      },
    };`);
    await deploy(server, "cache-one", cacher);
    await deploy(server, "cache-two", cacher);
    await server.traffic("cache-one", { method: "PUT" });
    expect((await server.traffic("cache-two")).body).toBe("nothing");
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "with space", "ünïcode", "a.b"])(
    "gets a variable and a secret named %s, or its upload is refused",
    async (name) => {
      const worker = "oddly-named";
      const upload = {
        ...code(`export default { fetch: (r, env) => new Response(Object.entries(env).flat().join(" ")) };`),
        metadata: { bindings: [{ type: "plain_text", name, text: "value" }] },
      };
      const reply = await call(server, "PUT", `/workers/scripts/${worker}`, uploadForm(upload));
      if (reply.success) expect((await server.traffic(worker)).body).toBe(`${name} value`);
      else expect(reply.status).toBe(400);

      await deploy(server, `${worker}-secret`, { ...upload, metadata: {} });
      const secret = await readEnvelope(
        await server.api("PUT", `/workers/scripts/${worker}-secret/secrets`, {
          body: `{"name":${JSON.stringify(name)},"text":"hidden","type":"secret_text"}`,
        }),
      );
      if (secret.success) expect((await server.traffic(`${worker}-secret`)).body).toContain(`${name} hidden`);
      else expect(secret.status).toBe(400);
    },
  );

  test.skipIf(IS_SPLIT)(
    "learns its version's id, tag and time from its version metadata, a secret's version included",
    async () => {
      const upload = {
        ...code("export default { fetch: (request, env) => Response.json(env.VERSION) };"),
        metadata: {
          bindings: [{ type: "version_metadata", name: "VERSION" }],
          annotations: { "workers/tag": "v1.2.3", "workers/message": "a message" },
        },
      };
      const id = await deploy(server, "metadata", upload);
      const { result } = await call(server, "GET", `/workers/scripts/metadata/versions/${id}`);
      const timestamp = result.metadata.created_on;
      expect(JSON.parse((await server.traffic("metadata")).body)).toEqual({ id, tag: "v1.2.3", timestamp });

      await call(server, "PUT", "/workers/scripts/metadata/secrets", { name: "S", text: "x" });
      const versions = await call(server, "GET", "/workers/scripts/metadata/versions");
      const [latest] = versions.result.items;
      expect(latest.id).not.toBe(id);
      expect(JSON.parse((await server.traffic("metadata")).body)).toEqual({
        id: latest.id,
        tag: "",
        timestamp: latest.metadata.created_on,
      });
    },
  );

  test("is made of modules of every type, in folders, and imports them", async () => {
    // (module (func (export "f") (result i32) i32.const 42))
    const wasm = Buffer.from("0061736d010000000105016000017f03020100070501016600000a06010400412a0b", "hex");
    const modules = {
      "src/index.js": {
        content: `import { name } from "./lib/name.js";
          import text from "../data/text.txt";
          import data from "./lib/data.bin";
          import json from "./lib/data.json";
          import cjs from "./lib/old.cjs";
          import wasm from "./lib/f.wasm";
          const { f } = new WebAssembly.Instance(wasm).exports;
          export default {
            fetch: () => Response.json([name, text, [...new Uint8Array(data)], json, cjs.value, f()]),
          };`,
      },
      "src/lib/name.js": { content: `export const name = "a module";` },
      "data/text.txt": { content: "a text\n", type: "text/plain" },
      "src/lib/data.bin": { content: new Uint8Array([0, 255, 128]), type: "application/octet-stream" },
      "src/lib/data.json": { content: '{"a":["json"]}', type: "application/json" },
      "src/lib/old.cjs": { content: "module.exports = { value: 7 };", type: "application/javascript" },
      "src/lib/f.wasm": { content: wasm, type: "application/wasm" },
      "src/index.js.map": { content: "{}", type: "application/source-map" },
    };
    await deploy(server, "modules", { modules, metadata: { main_module: "src/index.js" } });
    expect(JSON.parse((await server.traffic("modules")).body)).toEqual([
      "a module",
      "a text\n",
      [0, 255, 128],
      { a: ["json"] },
      7,
      42,
    ]);
  });

  test("of 15 MiB serves", async () => {
    const content = new Uint8Array(15 * MiB).fill(7);
    const modules = {
      "index.js": {
        content: `import data from "./big.bin"; export default { fetch: () => new Response(String(data.byteLength)) };`,
      },
      "big.bin": { content, type: "application/octet-stream" },
    };
    await deploy(server, "heavy", { modules });
    expect((await server.traffic("heavy")).body).toBe(String(15 * MiB));
  });
});
