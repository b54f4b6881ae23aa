/** What of the server can be reached from outside: two TCP sockets, and nothing by them but the router and the API. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, deploy } from "../../support/client.ts";
import { disposeServer, type Server, startServer } from "../../support/server.ts";
import { childrenOf, commandOf, send } from "../helpers.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
  await deploy(server, "victim", answering("victim"));
  await deploy(server, "other", answering("other"));
});
afterAll(() => disposeServer(server));

const portOf = (side: "traffic" | "control") =>
  side === "traffic" ? server.trafficPort : server.controlPort;

/** Sends text as it is. Resolves with all that is answered until the server is silent or closes. */
function say(port: number, text: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(port, "127.0.0.1");
  let heard = "";
  socket.setTimeout(500, () => socket.destroy());
  socket.on("data", (chunk) => {
    heard += chunk;
  });
  socket.on("error", () => {});
  socket.on("close", () => resolve(heard));
  socket.write(text);
  return promise;
}

const lines = (...all: string[]) => `${all.join("\r\n")}\r\n\r\n`;

/** The folder of the server's configurations and sockets, as the command lines of its processes name it. */
function runFolder(): string {
  const command =
    childrenOf(server)
      .map(commandOf)
      .find((each) => each.includes("control.capnp")) ?? "";
  return /(\S+)\/control\.capnp/.exec(command)?.[1] ?? "";
}

/** The host name that makes a connection between two processes RPC, read from where only the server's user can. */
function rpcHost(): string {
  const config = readFileSync(join(runFolder(), "control.capnp"), "utf8");
  return /capnpConnectHost = "([^"]+)"/.exec(config)?.[1] ?? "";
}

describe.each(["traffic", "control"] as const)("the port for %s", (side) => {
  test("refuses CONNECT to every host, even to the name that only processes know", async () => {
    expect(rpcHost()).toMatch(/^[0-9a-f]{32}$/);
    const hosts = [
      rpcHost(),
      `${rpcHost()}:80`,
      "localhost:80",
      "127.0.0.1:22",
      "control",
      "lane:80",
      "/",
      "*",
    ];
    for (const host of hosts) {
      const answer = await say(portOf(side), lines(`CONNECT ${host} HTTP/1.1`, `Host: ${host}`));
      expect([host, answer]).toEqual([host, expect.stringMatching(/^HTTP\/1\.1 [45]\d\d /)]);
    }
  });

  test("refuses CONNECT behind another request, and reads nothing that comes after it", async () => {
    const get = lines("GET /healthz HTTP/1.1", "Host: victim.localhost");
    const tunnel = lines(`CONNECT ${rpcHost()} HTTP/1.1`, `Host: ${rpcHost()}`);
    const answer = await say(portOf(side), get + tunnel + get);
    expect(answer.match(/HTTP\/1\.1 \d\d\d/g)).toEqual([
      expect.stringMatching(/200$/),
      expect.stringMatching(/[45]\d\d$/),
    ]);
  });

  test("takes no upgrade to anything", async () => {
    for (const protocol of ["h2c", "capnp", "websocket", rpcHost()]) {
      const upgrade = [
        "Connection: Upgrade",
        `Upgrade: ${protocol}`,
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ];
      const answer = await say(portOf(side), lines("GET / HTTP/1.1", "Host: victim.localhost", ...upgrade));
      expect([protocol, answer]).toEqual([protocol, expect.not.stringMatching(/^HTTP\/1\.1 101/)]);
    }
    expect(await say(portOf(side), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).not.toMatch(/ 200 /);
  });
});

test("a name of Sluice's own as host leads nowhere, and a whole URL in the request line to no other Worker", async () => {
  for (const host of ["lane", "follower", "control", "validator", "replica", "objects", rpcHost()]) {
    const { status, body } = await send({ port: server.trafficPort, host });
    expect([host, status, String(body)]).toEqual([host, 404, `There is no Worker at ${host}.\n`]);
  }
  for (const host of ["lane", "other.localhost", rpcHost()]) {
    const answer = await say(
      server.trafficPort,
      lines(`GET http://${host}/ HTTP/1.1`, "Host: victim.localhost", "Connection: close"),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*victim$/);
  }
});

test("headers that steer Miniflare mean nothing", async () => {
  const steering = {
    "MF-Route-Override": "other",
    "MF-Original-URL": "http://other.localhost/",
    "MF-Original-Hostname": "other.localhost",
    "MF-CF-Blob": '{"country":"XX"}',
    "MF-Op": "GET",
    "MF-Op-Target": "other",
    "MF-Op-Key": "env",
    "MF-Proxy-Shared-Secret": "secret",
    "MF-Custom-Service": "other",
    "MF-Custom-Node-Service": "other",
    "MF-Disable-Pretty-Error": "true",
  };
  expect((await server.traffic("victim", { headers: steering })).body).toBe("victim");
  for (const path of [
    "/",
    "/cdn-cgi/mf/scheduled",
    "/cdn-cgi/mf/reload",
    "/cdn-cgi/handler/scheduled",
    "/core/proxy",
  ]) {
    expect((await server.traffic("victim", { path, headers: steering })).body).toBe("victim");
    const { status } = await send({ port: server.controlPort, path, headers: steering });
    expect([path, status]).toEqual([
      path,
      path === "/" ? 303 : expect.toSatisfy((code) => code >= 300 && code < 500),
    ]);
  }
});

/** Inodes of the sockets that a process has open. */
function socketsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(join(folder, fd)))?.[1] ?? [];
    } catch {
      // It was closed meanwhile.
      return [];
    }
  });
}

describe.runIf(process.platform === "linux")("on this machine", () => {
  test("the server listens on two TCP ports and no UDP port, whichever of its processes one asks", async () => {
    const own = new Set([server.process.pid as number, ...childrenOf(server)].flatMap(socketsOf));
    const listening = ["tcp", "tcp6", "udp", "udp6"].flatMap((protocol) =>
      readFileSync(`/proc/net/${protocol}`, "utf8")
        .split("\n")
        .slice(1)
        .map((row) => row.trim().split(/\s+/))
        // State 0A is LISTEN, and 07 what every UDP socket has that is not connected.
        .filter(
          ([, , , state, , , , , , inode]) => (state === "0A" || state === "07") && own.has(inode as string),
        )
        .map(([, address]) => Number.parseInt((address as string).split(":")[1] as string, 16)),
    );
    expect(new Set(listening)).toEqual(new Set([server.trafficPort, server.controlPort]));
  });

  test("only the server's user can enter the folder with the sockets, and read the configurations in it", () => {
    const folder = runFolder();
    expect(folder.startsWith(tmpdir())).toBe(true);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(folder).uid).toBe(process.getuid?.());
    const entries = readdirSync(folder);
    expect(entries.filter((name) => name.endsWith(".sock")).length).toBeGreaterThan(5);
    for (const name of entries.filter((each) => !each.endsWith(".sock"))) {
      expect([name, statSync(join(folder, name)).mode & 0o077]).toEqual([name, 0]);
    }
    expect(statSync(server.dataDir).mode & 0o077).toBe(0);
  });

  test("no process is told the token by its arguments", () => {
    const commands = childrenOf(server).map(commandOf).join("\n");
    expect(commands).not.toContain("token-for-the-tests");
  });
});
