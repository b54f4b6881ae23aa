/** Starts: on an empty folder, on a used one, and starts that must fail. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { answering, call, createDeployment, deploy, uploadVersion } from "../../support/client.ts";
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
} from "../../support/server.ts";
import {
  answersFor,
  deploymentsOf,
  inParallel,
  keys,
  NAMING_ITSELF,
  runSluice,
  versionsOf,
} from "../helpers.ts";

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

const ECHO = {
  modules: {
    "index.js": { content: "export default { fetch: (request) => new Response(request.body) };" },
  },
};

describe("the example Worker", () => {
  test("is deployed at 90/10 by the first start on an empty folder, and never by a later one, even if it was deleted", async () => {
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
  test("is complete when /healthz answers 200, without a token, and both sides serve", async () => {
    const server = await useServer();
    const health = await fetch(`${server.control}/healthz`);
    expect(health.status).toBe(200);
    expect(await health.json()).toEqual({ status: "ok" });
    expect((await server.traffic("nobody")).status).toBe(404);
    expect((await fetch(`${server.control}/healthz`, { method: "POST" })).status).toBe(404);
  });

  test.each(["1", "2"])("logs no warning, with --processes %s", async (processes) => {
    const server = await useServer({ args: ["--processes", processes] });
    await deploy(server, "echo", ECHO);
    expect(server.output).not.toMatch(/"level":"(warn|error)"/);
  });

  test.each(["--traffic-port", "--control-port"])(
    "fails with exit code 1 and names %s where something else listens on that port",
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

  test("fails with a clear message where both sides are given the same port", async () => {
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

  test("fails with a clear message where the data folder cannot be created", async () => {
    const folder = await useFolder();
    await writeFile(join(folder, "file"), "");
    for (const dataDir of [join(folder, "file"), join(folder, "file", "data")]) {
      const run = await runSluice(["serve", "--data-dir", dataDir, "--no-demo"]);
      expect(run.code).toBe(1);
      expect(run.stderr).toContain(dataDir);
      expect(run.stderr).not.toMatch(/\n\s+at /);
    }
  });

  test("fails with a clear message where a flag is not valid, and creates nothing", async () => {
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

  test("creates a folder and a token that only their owner can read, prints the token once, and keeps it", async () => {
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

test("after a stop and a start every key gets the same version as before", async () => {
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
