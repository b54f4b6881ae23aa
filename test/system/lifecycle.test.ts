/** Start, stop, and the commands beside `serve`. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  answering,
  call,
  createDeployment,
  deploy,
  readEnvelope,
  uploadForm,
  uploadVersion,
} from "../support/client.ts";
import {
  cleanEnv,
  disposeServer,
  freePort,
  ROOT,
  Server,
  startServer,
  TOKEN,
  useServer,
  waitUntil,
} from "../support/server.ts";
import {
  answersFor,
  beginPost,
  childrenOf,
  deploymentsOf,
  inParallel,
  isAlive,
  keys,
  NAMING_ITSELF,
  runSluice,
  versionsOf,
} from "./helpers.ts";

/** A folder that is deleted after the test. */
async function useFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts `sluice serve` without a token of ours, as `npm start` does. */
async function startByHand(dataDir: string): Promise<Server> {
  const at = { trafficPort: await freePort(), controlPort: await freePort(), dataDir };
  const ports = ["--traffic-port", String(at.trafficPort), "--control-port", String(at.controlPort)];
  const child = spawn(
    process.execPath,
    [join(ROOT, "bin/sluice.js"), "serve", ...ports, "--data-dir", dataDir, "--no-demo"],
    { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: cleanEnv() },
  );
  const server = new Server(child, at);
  onTestFinished(async () => {
    await server.stop();
  });
  await waitUntil(() => {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}: ${server.output}`);
    return server.output.includes('"event":"ready"');
  });
  return server;
}

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

describe("the example Worker", () => {
  test("is deployed at 90/10 by the first start on an empty folder, and by no later one, not even when it was deleted", async () => {
    let server = await startServer({ demo: true });
    onTestFinished(() => disposeServer(server));
    const versions = await versionsOf(server, "hello");
    const deployments = await deploymentsOf(server, "hello");
    expect(versions.map(({ number }) => number)).toEqual([2, 1]);
    expect(deployments[0].versions).toEqual([
      { version_id: versions[1].id, percentage: 90 },
      { version_id: versions[0].id, percentage: 10 },
    ]);
    const visitors = keys(300, "visitor");
    const answers = await answersFor(server, "hello", visitors);
    const count = (color: string) => [...answers.values()].filter((body) => body.includes(color)).length;
    expect(count("blue") + count("green")).toBe(300);
    // 30 are expected; outside of these bounds once in more than a million runs.
    expect(count("green")).toBeGreaterThan(3);
    expect(count("green")).toBeLessThan(65);

    expect(await server.stop()).toBe(0);
    server = await startServer({ demo: true, like: server });
    expect(await versionsOf(server, "hello")).toEqual(versions);
    expect(await deploymentsOf(server, "hello")).toEqual(deployments);
    expect(await answersFor(server, "hello", visitors)).toEqual(answers);

    await call(server, "DELETE", "/workers/services/hello");
    await server.stop();
    server = await startServer({ demo: true, like: server });
    expect((await server.traffic("hello")).status).toBe(404);
    expect((await call(server, "GET", "/workers/services/hello")).status).toBe(404);
  });

  test("is not deployed with --no-demo", async () => {
    const server = await useServer();
    expect((await server.traffic("hello")).status).toBe(404);
    expect((await call(server, "GET", "/workers/services/hello")).status).toBe(404);
  });
});

describe("a start", () => {
  test("is over when /healthz answers 200, to anybody, and both listeners serve", async () => {
    const server = await useServer();
    const health = await fetch(`${server.control}/healthz`);
    expect(health.status).toBe(200);
    expect(await health.json()).toEqual({ status: "ok" });
    expect((await server.traffic("nobody")).status).toBe(404);
    expect((await fetch(`${server.control}/healthz`, { method: "POST" })).status).toBe(404);
  });

  test.each(["1", "2"])("warns of nothing, with --processes %s", async (processes) => {
    const server = await useServer({ args: ["--processes", processes] });
    await deploy(server, "echo", ECHO);
    expect(server.output).not.toMatch(/"level":"(warn|error)"/);
  });

  test.each(["--traffic-port", "--control-port"])(
    "fails with exit code 1 where something listens on %s already, and names the flag",
    async (flag) => {
      const folder = await useFolder();
      const taken = createServer().listen(0, "127.0.0.1");
      await once(taken, "listening");
      onTestFinished(() => void taken.close());
      const port = String((taken.address() as { port: number }).port);
      const ports = new Map([
        ["--traffic-port", String(await freePort())],
        ["--control-port", String(await freePort())],
        [flag, port],
      ]);
      const run = await runSluice(["serve", "--data-dir", join(folder, "data"), ...[...ports].flat()]);
      expect(run.code).toBe(1);
      expect(run.stderr).toContain(flag);
      expect(run.stderr).toContain(port);
      expect(run.stderr).not.toMatch(/\n\s+at /);
    },
  );

  test("fails in words where both listeners are given one port", async () => {
    const folder = await useFolder();
    const port = String(await freePort());
    const run = await runSluice([
      ...["serve", "--data-dir", join(folder, "data"), "--no-demo"],
      ...["--traffic-port", port, "--control-port", port],
    ]);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain(port);
    expect(run.stderr).toMatch(/--(traffic|control)-port/);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  });

  test("fails in words where the data folder cannot be made", async () => {
    const folder = await useFolder();
    await writeFile(join(folder, "file"), "");
    for (const dataDir of [join(folder, "file"), join(folder, "file", "data")]) {
      const run = await runSluice(["serve", "--data-dir", dataDir, "--no-demo"]);
      expect(run.code).toBe(1);
      expect(run.stderr).toContain(dataDir);
      expect(run.stderr).not.toMatch(/\n\s+at /);
    }
  });

  test("fails in words with a flag that cannot be, and makes nothing", async () => {
    const folder = await useFolder();
    const flags: [string, string, RegExp][] = [
      ["--traffic-port", "0", /1 to 65535/],
      ["--traffic-port", "http", /1 to 65535/],
      ["--control-port", "65536", /1 to 65535/],
      ["--api-token", "short", /8 characters/],
      ["--api-token", "with a space in it", /no spaces/],
      ["--account-id", "a/b", /letters, digits/],
      ["--domain", "localhost:80", /hostname without a port/],
      ["--address-header", "X Real IP", /header/],
      ["--log", "loud", /debug, info, warn, error/],
      ["--no-such-flag", "x", /no-such-flag/],
    ];
    await inParallel(3, flags, async ([flag, value, says]) => {
      const run = await runSluice(["serve", "--data-dir", join(folder, "data"), flag, value]);
      expect(run.code, flag).toBe(1);
      expect(run.stderr).toContain(flag);
      expect(run.stderr).toMatch(says);
      expect(run.stderr).not.toMatch(/\n\s+at /);
    });
    await expect(stat(join(folder, "data"))).rejects.toThrow("ENOENT");
  });

  test("makes a folder and a token that only their owner can read, tells the token once and keeps it", async () => {
    const dataDir = join(await useFolder(), "data");
    const first = await startByHand(dataDir);
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
    expect((await stat(join(dataDir, "token"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dataDir, "server.json"))).mode & 0o777).toBe(0o600);
    const token = (await readFile(join(dataDir, "token"), "utf8")).trim();
    expect(token).toMatch(/^\S{20,}$/);
    await waitUntil(() => first.output.includes("token-created"));
    expect(first.output.split(token)).toHaveLength(2);

    const verify = (server: Server, bearer: string) =>
      fetch(`${server.control}/client/v4/user/tokens/verify`, {
        headers: { Authorization: `Bearer ${bearer}` },
      }).then(({ status }) => status);
    expect(await verify(first, token)).toBe(200);
    expect(await verify(first, TOKEN)).toBe(401);

    expect(await first.stop()).toBe(0);
    const second = await startByHand(dataDir);
    expect(await verify(second, token)).toBe(200);
    expect(second.output).not.toContain(token);
    expect((await readFile(join(dataDir, "token"), "utf8")).trim()).toBe(token);
  });
});

describe("SIGTERM", () => {
  test("lets a slow request finish whole, and ends with 0 and no process left", async () => {
    const server = await useServer();
    await deploy(server, "echo", ECHO);
    const children = childrenOf(server);
    expect(children.length).toBeGreaterThan(0);
    const { outgoing, response, received } = await openEcho(server, "echo");

    const exit = server.stop();
    // The side that has nothing to finish closes at once.
    await waitUntil(() => refusesConnections(server.controlPort));
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

  test("lets a slow request finish, and gives a connection that comes meanwhile nothing or an end, never half an answer", async () => {
    const server = await useServer();
    await deploy(server, "echo", ECHO);
    const { outgoing, response } = await openEcho(server, "echo");
    const exit = server.stop();
    await waitUntil(() => refusesConnections(server.controlPort));

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

  test("lets an upload that is under way finish, and the version is there after the next start", async () => {
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
    // The side that has nothing to finish closes at once.
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

  test("does not wait for clients that are connected and silent", async () => {
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
    await waitUntil(() => refusesConnections(server.controlPort));
    outgoing.end("two");
    await once(response, "end");
    expect(received()).toBe("one two");
    expect(await exit).toEqual([0, null]);
  });
});

describe("a command beside the server, on ports that are not the usual ones, finds it through the data folder:", () => {
  let folder: string;
  let server: Server;
  let token: string;
  let ids: readonly [string, string];

  beforeAll(async () => {
    server = await startServer();
    folder = server.dataDir;
    // The commands read the token of the folder; the harness gives the server one on the command line.
    token = TOKEN;
    await writeFile(join(folder, "token"), `${token}\n`, { mode: 0o600 });
    const stable = await deploy(server, "split", NAMING_ITSELF);
    const candidate = await uploadVersion(server, "split", NAMING_ITSELF);
    await createDeployment(server, "split", [
      [stable, 70],
      [candidate, 30],
    ]);
    ids = [stable, candidate];
  });

  afterAll(() => disposeServer(server));

  const explain = (...args: string[]) => runSluice(["explain", ...args, "--data-dir", folder]);

  test("`sluice env` prints what a shell can eval, and with it the API answers", async () => {
    const run = await runSluice(["env", "--data-dir", folder]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(run.stdout).toMatch(/^export [^\n]*\n$/);
    const shell = spawn("sh", ["-c", 'eval "$0" && env', run.stdout], { env: { PATH: process.env.PATH } });
    let text = "";
    shell.stdout.on("data", (chunk) => {
      text += chunk;
    });
    expect(await once(shell, "close")).toEqual([0, null]);
    const variables = Object.fromEntries(text.split("\n").map((line) => line.split(/=(.*)/s, 2)));
    expect(variables).toMatchObject({
      CLOUDFLARE_API_BASE_URL: `${server.control}/client/v4`,
      CLOUDFLARE_API_TOKEN: token,
      CLOUDFLARE_ACCOUNT_ID: "sluice",
    });
    const response = await fetch(`${variables.CLOUDFLARE_API_BASE_URL}/accounts`, {
      headers: { Authorization: `Bearer ${variables.CLOUDFLARE_API_TOKEN}` },
    });
    const { result } = await readEnvelope(response);
    expect(result).toEqual([{ id: variables.CLOUDFLARE_ACCOUNT_ID, name: "Sluice" }]);
  });

  test("the explanation names, for each of 50 keys, the version that traffic gives, as does `sluice explain --json`", async () => {
    const asked = keys(50, "person+%3a@example.org, no");
    const answers = await answersFor(server, "split", asked);
    expect(new Set(answers.values())).toEqual(new Set(ids));
    await inParallel(4, asked, async (key) => {
      const query = new URLSearchParams({ key });
      const { result } = await call(server, "GET", `/workers/scripts/split/explain?${query}`);
      expect(result).toMatchObject({ key, reason: "key", version_id: answers.get(key) });
    });
    await inParallel(2, asked.slice(0, 8), async (key) => {
      const run = await explain("split", "--key", key, "--json");
      expect(run).toMatchObject({ code: 0, stderr: "" });
      const explained = JSON.parse(run.stdout);
      expect(explained).toMatchObject({ worker: "split", key, reason: "key", version_id: answers.get(key) });
      expect(explained.hash < explained.boundary).toBe(
        explained.version_id === explained.candidate_version_id,
      );
    });
  });

  test("`sluice explain` says the same in words", async () => {
    const explained = JSON.parse((await explain("split", "--key", "k", "--json")).stdout);
    const run = await explain("split", "--key", "k");
    expect(run).toMatchObject({ code: 0, stderr: "" });
    for (const words of [
      "split",
      '"k"',
      `${explained.version_id}  (#${explained.version_number})`,
      "key: the key's hash decides",
      String(explained.hash),
      String(explained.boundary),
      `${ids[0]}  #1  70%  stable`,
      `${ids[1]}  #2  30%  candidate`,
    ]) {
      expect(run.stdout).toContain(words);
    }
    const overridden = await explain("split", "--key", "k", "--override", ids[1]);
    expect(overridden.stdout).toContain(`${ids[1]}  (#2)`);
    expect(overridden.stdout).toContain("override");
  });

  test("`sluice explain` of an unknown Worker exits with 1 and says what to do", async () => {
    const run = await explain("nobody", "--key", "k");
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/nobody.*wrangler deploy/s);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  });

  test("`sluice explain` without a key exits with 1 and says what is missing", async () => {
    const run = await explain("split");
    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(/key/);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  });

  test("`sluice wrangler` runs wrangler with its arguments, its exit code and this account", async () => {
    const whoami = await runSluice(["wrangler", "whoami"], { SLUICE_DATA_DIR: folder });
    expect(whoami.code, whoami.stderr).toBe(0);
    expect(whoami.stdout).toContain("sluice");
    expect(whoami.stdout).toMatch(/│\s*Sluice\s*│/);
    expect(whoami.stdout + whoami.stderr).not.toContain(token);
    const failed = await runSluice(["wrangler", "versions", "list", "--name", "nobody"], {
      SLUICE_DATA_DIR: folder,
    });
    expect(failed.code).not.toBe(0);
    expect(failed.stdout + failed.stderr).toContain("10007");
  });

  test("a command without a server says how to start one, and prints no stack", async () => {
    const empty = await useFolder();
    for (const args of [
      ["env", "--data-dir", empty],
      ["explain", "split", "--key", "k", "--data-dir", empty],
    ]) {
      const run = await runSluice(args);
      expect(run).toMatchObject({ code: 1, stdout: "" });
      expect(run.stderr).toMatch(/npm start/);
      expect(run.stderr).not.toMatch(/\n\s+at /);
    }
    const unreachable = await runSluice(["explain", "split", "--key", "k", "--data-dir", empty], {
      SLUICE_API_TOKEN: TOKEN,
      SLUICE_CONTROL_PORT: String(await freePort()),
    });
    expect(unreachable).toMatchObject({ code: 1, stdout: "" });
    expect(unreachable.stderr).toMatch(/No server answers .*npm start/);
  });
});

test("what was deployed is served after a stop and a start, to the same keys", async () => {
  let server = await startServer();
  onTestFinished(() => disposeServer(server));
  const stable = await deploy(server, "kept", NAMING_ITSELF);
  const candidate = await uploadVersion(server, "kept", NAMING_ITSELF);
  await createDeployment(server, "kept", [
    [stable, 50],
    [candidate, 50],
  ]);
  await deploy(server, "other", answering("other"));
  const answers = await answersFor(server, "kept", keys(100));
  const versions = await versionsOf(server, "kept");
  expect(await server.stop()).toBe(0);
  server = await startServer({ like: server });
  expect(await answersFor(server, "kept", keys(100))).toEqual(answers);
  expect(await versionsOf(server, "kept")).toEqual(versions);
  expect((await server.traffic("other")).body).toBe("other");
});
