/** What the code of versions can reach over the network. */
import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deploy, type Upload } from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";

/** Fetches what the query names, by HTTP or by a socket, and answers with what came of it. */
const ERRAND: Upload = {
  modules: {
    "index.js": {
      content: `import { connect } from "cloudflare:sockets";
export default { async fetch(request) {
  const url = new URL(request.url).searchParams.get("url");
  try {
    if (!url.startsWith("tcp:")) return new Response("got " + (await (await fetch(url)).text()));
    const socket = connect(url.slice("tcp://".length));
    await socket.opened;
    return new Response("got a socket");
  } catch (error) { return new Response("failed: " + error.message); }
} };`,
    },
  },
};

const SECRET = "what only this machine may read";

let server: Server;
let upstream: HttpServer;
let port: number;

beforeAll(async () => {
  upstream = createServer((request, response) => {
    const to = new URL(request.url ?? "/", "http://local").searchParams.get("to");
    if (to === null) response.end(SECRET);
    else response.writeHead(302, { Location: to }).end();
  });
  upstream.listen(0, "::");
  await once(upstream, "listening");
  port = (upstream.address() as AddressInfo).port;
  server = await startServer();
  await deploy(server, "errand", ERRAND);
});

afterAll(async () => {
  await disposeServer(server);
  upstream.close();
});

async function send(url: string, by = server): Promise<string> {
  return (await by.traffic("errand", { path: `/?url=${encodeURIComponent(url)}` })).body;
}

describe("a version reaches nothing of the machine that it runs on:", () => {
  const [lan] = Object.values(networkInterfaces())
    .flat()
    .filter((address) => address?.family === "IPv4" && !address.internal);
  test.each([
    ["loopback", "http://127.0.0.1:PORT/"],
    ["another loopback address", "http://127.8.8.8:PORT/"],
    ["loopback by name", "http://localhost:PORT/"],
    ["loopback of IPv6", "http://[::1]:PORT/"],
    ["loopback of IPv4 within IPv6", "http://[::ffff:127.0.0.1]:PORT/"],
    ["the unspecified address", "http://0.0.0.0:PORT/"],
    ["the unspecified address of IPv6", "http://[::]:PORT/"],
    ["a number for an address", "http://2130706433:PORT/"],
    ["the machine's own address", `http://${lan?.address ?? "127.0.0.1"}:PORT/`],
    ["a TCP socket", "tcp://127.0.0.1:PORT"],
    ["a cloud's metadata service", "http://169.254.169.254/latest/meta-data/"],
  ])("%s", async (_, url) => {
    const body = await send(url.replace("PORT", String(port)));
    expect(body).toMatch(url.startsWith("tcp:") ? /^failed: / : /^failed: .*--allow-address/);
    expect(body).not.toContain(SECRET);
  });

  test("Sluice's own ports, even with its token", async () => {
    expect(await send(`http://127.0.0.1:${server.controlPort}/healthz`)).toMatch(/^failed: /);
    expect(await send(`http://127.0.0.1:${server.trafficPort}/`)).toMatch(/^failed: /);
  });
});

test("an operator can let versions reach an address of the machine, and no other one, not even by redirect", async () => {
  const open = await startServer({ args: ["--allow-address", "127.0.0.1"] });
  try {
    await deploy(open, "errand", ERRAND);
    expect(await send(`http://127.0.0.1:${port}/`, open)).toBe(`got ${SECRET}`);
    expect(await send(`http://127.0.0.2:${port}/`, open)).toMatch(/^failed: /);
    const elsewhere = encodeURIComponent(`http://127.0.0.2:${port}/`);
    expect(await send(`http://127.0.0.1:${port}/?to=${elsewhere}`, open)).toMatch(/^failed: /);
  } finally {
    await disposeServer(open);
  }
});
