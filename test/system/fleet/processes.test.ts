/** Several traffic processes: they split alike, and each may be killed, silent or cut off from the control side. */
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createDeployment, deploy, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../../support/server.ts";
import {
  answersFor,
  childrenOf,
  isAlive,
  keys,
  logged,
  NAMING_ITSELF,
  runSluice,
  sweep,
} from "../helpers.ts";

const KEY = "Cloudflare-Workers-Version-Key";

/** Answers how often it was asked since it was loaded. */
const COUNTING = {
  modules: {
    "index.js": {
      content: `let count = 0;
export default { fetch: async (request) => {
  if (request.method === "POST") return new Response(request.body);
  return new Response(String(++count));
} };`,
    },
  },
};

const serverFile = async (server: Server) =>
  JSON.parse(await readFile(join(server.dataDir, "server.json"), "utf8")) as {
    runtime_pid: number;
    validator_pid: number;
    traffic_pids: number[];
  };

async function socketsOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isSocket()).map(({ name }) => name);
}

/** Ports on which a process listens: its sockets by inode (proc(5)). */
async function portsOf(pid: number): Promise<number[]> {
  const inodes = new Set<string>();
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const table = await readFile(`/proc/${pid}/net/tcp`, "utf8");
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === "0A" && inodes.has(fields[9] ?? ""))
    .map((fields) => Number.parseInt(fields[1]?.split(":")[1] ?? "", 16));
}

/** The body of one request on a connection of its own, so that any process may get it. */
async function ask(server: Server, worker: string, key?: string): Promise<string> {
  const headers: Record<string, string> = key === undefined ? {} : { [KEY]: key };
  const { status, body } = await server.traffic(worker, { headers: { ...headers, Connection: "close" } });
  return status === 200 ? body : `${status} ${body}`;
}

describe("several processes", () => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", "2"] });
  });

  afterAll(() => disposeServer(server));

  test("split alike, and each of them serves", async () => {
    const [stable, candidate] = [
      await deploy(server, "alike", NAMING_ITSELF),
      await uploadVersion(server, "alike", NAMING_ITSELF),
    ];
    await createDeployment(server, "alike", [
      [stable, 50],
      [candidate, 50],
    ]);
    const rounds = [];
    for (let round = 0; round < 3; round++) rounds.push(await answersFor(server, "alike", keys(40)));
    expect(rounds[1]).toEqual(rounds[0]);
    expect(rounds[2]).toEqual(rounds[0]);
    const run = await runSluice(
      ["explain", "alike", "--key", "key-7", "--json", "--data-dir", server.dataDir],
      {
        SLUICE_API_TOKEN: "token-for-the-tests",
      },
    );
    expect(JSON.parse(run.stdout).version_id).toBe(rounds[0]?.get("key-7"));

    await deploy(server, "counting", COUNTING);
    const counts: string[] = [];
    await waitUntil(async () => {
      counts.push(await ask(server, "counting"));
      // Two counters, so some number comes twice.
      return new Set(counts).size < counts.length;
    });
  });

  test("serve on while one of them is killed, which is started again and follows deployments that it missed", async () => {
    const one = await deploy(server, "killed", NAMING_ITSELF);
    const two = await uploadVersion(server, "killed", NAMING_ITSELF);
    const [victim] = (await serverFile(server)).traffic_pids;
    process.kill(victim as number, "SIGKILL");
    await waitUntil(() => logged(server, "process-ended").length > 0);
    expect((await createDeployment(server, "killed", [[two, 100]])).errors).toEqual([]);
    await waitUntil(async () => {
      const { traffic_pids } = await serverFile(server);
      return traffic_pids.length === 2 && !traffic_pids.includes(victim as number);
    });
    await waitUntil(async () => (await fetch(`${server.control}/healthz`)).status === 200);
    for (let i = 0; i < 40; i++) expect(await ask(server, "killed")).toBe(two);
    expect((await createDeployment(server, "killed", [[one, 100]])).errors).toEqual([]);
    for (let i = 0; i < 40; i++) expect(await ask(server, "killed")).toBe(one);
  });

  test("repeat a change to one of them that did not answer, which then unloads the versions that left meanwhile", async () => {
    const one = await deploy(server, "silent", NAMING_ITSELF);
    const two = await uploadVersion(server, "silent", NAMING_ITSELF);
    const [victim] = (await serverFile(server)).traffic_pids;
    process.kill(victim as number, "SIGSTOP");
    onTestFinished(() => void process.kill(victim as number, "SIGCONT"));
    expect((await createDeployment(server, "silent", [[two, 100]])).errors).toEqual([]);
    process.kill(victim as number, "SIGCONT");
    const unloaded = () => logged(server, "version-unloaded").filter(({ version }) => version === one);
    await waitUntil(() => unloaded().length === 2);
    for (let i = 0; i < 40; i++) expect(await ask(server, "silent")).toBe(two);
  });

  test("serve on while the control side is down, and follow it again when it is back", async () => {
    const one = await deploy(server, "cut-off", NAMING_ITSELF);
    const two = await uploadVersion(server, "cut-off", NAMING_ITSELF);
    const { runtime_pid } = await serverFile(server);
    process.kill(runtime_pid, "SIGKILL");
    for (let i = 0; i < 30; i++) expect(await ask(server, "cut-off")).toBe(one);
    await waitUntil(async () => (await serverFile(server)).runtime_pid !== runtime_pid);
    await waitUntil(
      async () => (await fetch(`${server.control}/healthz`).catch(() => undefined))?.status === 200,
    );
    expect((await createDeployment(server, "cut-off", [[two, 100]])).errors).toEqual([]);
    for (let i = 0; i < 20; i++) expect(await ask(server, "cut-off")).toBe(two);
  });

  test("listen on the two configured ports only, and talk to each other in a folder that no other user can enter", async () => {
    const server = await useServer({ args: ["--processes", "2"] });
    await deploy(server, "w", NAMING_ITSELF);
    const { runtime_pid, traffic_pids, validator_pid } = await serverFile(server);
    expect(await portsOf(runtime_pid)).toEqual([server.controlPort]);
    for (const pid of traffic_pids) expect(await portsOf(pid)).toEqual([server.trafficPort]);
    expect(await portsOf(validator_pid)).toEqual([]);
    expect(await portsOf(server.process.pid as number)).toEqual([]);

    const command = (await readFile(`/proc/${runtime_pid}/cmdline`, "utf8")).split("\0");
    const folder = dirname(command.find((word) => word.endsWith(".capnp")) as string);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(await socketsOf(folder)).toContain("control-remote.sock");
    expect(await server.stop()).toBe(0);
    await expect(stat(folder)).rejects.toThrow("ENOENT");
  });

  test("finish their requests after SIGTERM, then end", async () => {
    const server = await useServer({ args: ["--processes", "2"] });
    await deploy(server, "slow", {
      modules: {
        "index.js": {
          content: `export default { fetch: async () => { await scheduler.wait(1500); return new Response("whole"); } };`,
        },
      },
    });
    const children = childrenOf(server);
    expect(children.length).toBeGreaterThanOrEqual(3);
    const answers = Array.from({ length: 8 }, () => ask(server, "slow"));
    await sleep(500);
    expect(await server.stop()).toBe(0);
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 8 }, () => "whole"));
    await waitUntil(() => !children.some(isAlive));
  });

  test("survive a kill -9 of the server and serve until the next start ends them", async () => {
    const server = await useServer({ args: ["--processes", "2"] });
    const id = await deploy(server, "w", NAMING_ITSELF);
    const { traffic_pids } = await serverFile(server);
    const children = childrenOf(server);
    onTestFinished(() => sweep(children));
    await server.killSupervisor();
    for (let i = 0; i < 10; i++) expect(await ask(server, "w")).toBe(id);
    const next = await useServer({ like: server, args: ["--processes", "2"] });
    await waitUntil(() => !traffic_pids.some(isAlive));
    for (let i = 0; i < 10; i++) expect(await ask(next, "w")).toBe(id);
  });

  test.each(["0", "1.5", "two", "65", "-1", ""])(
    "cannot be %j in number, and the message names the flag",
    async (count) => {
      const run = await runSluice(["serve", "--processes", count]);
      expect(run.code).toBe(1);
      expect(run.stderr).toMatch(/--processes.*1 to 64/s);
    },
  );
});
