/** A request reaches the Worker as it was sent, and the answer comes back as the Worker gave it. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { call, deploy, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { beginPost, keys, type RawRequest, sendCarefully } from "../helpers.ts";
import { code, KEY, sendTo, split } from "./helpers.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});

afterAll(() => disposeServer(server));

describe("a request reaches the Worker unchanged, and its response reaches the client unchanged:", () => {
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
    const answer = await sendTo(server, "mirror", raw);
    expect(answer.status).toBe(200);
    return JSON.parse(answer.body.toString());
  };
  const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

  test("every path, including those that the control side uses", async () => {
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

  test("HEAD, whose response has headers and no body", async () => {
    const answer = await sendTo(server, "mirror", { method: "HEAD" });
    expect(answer.status).toBe(200);
    expect(answer.headers["x-method"]).toBe("HEAD");
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.body).toHaveLength(0);
  });

  test("every header, including those of the split, and none that the client did not send", async () => {
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

  test("a body of 5 MB in chunks, in both directions", async () => {
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
      const answer = await sendTo(server, "echo", { method: "PUT", body: form });
      expect(answer.status).toBe(200);
      expect(sha256(answer.body)).toBe(sha256(whole));
    }
  });

  test("a request that expects 100 Continue, whether or not the client waits for it", async () => {
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

  test("every status, without following redirects or merging cookies", async () => {
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
      const answer = await sendTo(server, "statuses", { path: `/${status}` });
      expect(answer.status).toBe(status);
      expect(answer.body.toString()).toBe([204, 304].includes(status) ? "" : `body ${status}`);
      expect(answer.headers["x-mine"]).toBe("yes");
      expect(answer.headers["set-cookie"]).toEqual(["a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT", "b=2"]);
      const moved = status >= 300 && status < 400;
      expect(answer.headers.location).toBe(moved ? "http://mirror.localhost/elsewhere" : undefined);
    }
  });

  test("a body is compressed once where the Worker asks for it, and not again where it is compressed already", async () => {
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
      const answer = await sendTo(server, "zipped", { path, headers: { "Accept-Encoding": "gzip" } });
      expect(answer.headers["content-encoding"]).toBe("gzip");
      expect(gunzipSync(answer.body).toString()).toBe("a text ".repeat(100));
    }
  });

  test("server-sent events arrive one by one, each before the next one is sent", async () => {
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

  test("a body that breaks off does not look complete", async () => {
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
    await expect(sendTo(server, "breaking")).rejects.toThrow(/aborted|hang up|reset/i);
    expect((await server.traffic("echo", { method: "POST", body: "still here" })).body).toBe("still here");
  });

  test("WebSockets, in both directions, with the version that the key decides", async () => {
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
    await split(server, "sockets", [stable, 50], [candidate, 50]);
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
