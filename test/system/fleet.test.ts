/** What a change of the deployment does to traffic, in one process and in several: flips, loading ahead, unloading. */
import { readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { seeded } from "../../src/rollout/simulate.ts";
import { answering, call, createDeployment, deploy, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../support/server.ts";
import {
  answersFor,
  beginPost,
  childrenOf,
  deploymentsOf,
  isAlive,
  keys,
  logged,
  NAMING_ITSELF,
  runSluice,
  SEED,
  sweep,
  versionFiles,
} from "./helpers.ts";

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
    traffic_pids: number[];
  };

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

describe.each([1, 2])("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("not one request follows the old split after the answer to 1,000 deployments under load, and none fails", async () => {
    const one = await deploy(server, "flips", NAMING_ITSELF);
    const two = await uploadVersion(server, "flips", NAMING_ITSELF);
    const random = seeded(SEED);
    /** What the latest acknowledged deployment serves, and how many deployments have been asked for and acknowledged. */
    let serving = one;
    let asked = 0;
    let acknowledged = 0;
    let done = false;
    let checked = 0;
    const wrong: string[] = [];
    const lane = async (name: string) => {
      for (let i = 0; !done; i++) {
        const [expected, before] = [serving, acknowledged];
        const body = await ask(server, "flips", `${name}-${i}`).catch(String);
        if (body !== one && body !== two) wrong.push(`seed ${SEED}: ${body}`);
        // Sent after the answer to one deployment, and answered before the next one was asked for.
        else if (asked === before && body !== expected) wrong.push(`seed ${SEED}: ${body} after ${expected}`);
        if (asked === before) checked++;
      }
    };
    const load = Promise.all(keys(4, "lane").map(lane));
    try {
      for (let flip = 0; flip < 1000; flip++) {
        const next = flip % 2 === 0 ? two : one;
        asked++;
        // A split of 100/0 in either order, or one version alone.
        const shares: [string, number][] =
          random() < 0.5
            ? [[next, 100]]
            : [
                [next, 100],
                [next === one ? two : one, 0],
              ];
        expect((await createDeployment(server, "flips", shares)).errors).toEqual([]);
        serving = next;
        acknowledged++;
        const [first, second] = await Promise.all([ask(server, "flips", `${flip}`), ask(server, "flips")]);
        expect([first, second], `seed ${SEED}, flip ${flip}`).toEqual([next, next]);
      }
    } finally {
      done = true;
      await load;
    }
    expect(wrong).toEqual([]);
    expect(checked).toBeGreaterThan(100);
  }, 180_000);

  test("a version that left its deployment is unloaded, and what it was doing is finished whole", async () => {
    const left = await deploy(server, "leaving", COUNTING);
    const before = await ask(server, "leaving");
    expect(before).toBe("1");
    const { outgoing, response } = await beginPost(server, "leaving", "begin ");

    await deploy(server, "leaving", answering("the next one"));
    const unloaded = () => logged(server, "version-unloaded").filter(({ version }) => version === left);
    // In every process that served it.
    await waitUntil(() => unloaded().length >= processes);
    expect(await ask(server, "leaving")).toBe("the next one");

    outgoing.end("end");
    let text = "";
    for await (const chunk of response) text += chunk;
    expect(text).toBe("begin end");

    // It is loaded anew when it comes back, and counts from the beginning in every process.
    await createDeployment(server, "leaving", [[left, 100]]);
    expect(await ask(server, "leaving")).toBe("1");
  });

  test("a version that comes back before it is unloaded was never gone", async () => {
    const first = await deploy(server, "returning", COUNTING);
    const counts = [];
    for (let i = 0; i < 10; i++) counts.push(Number(await ask(server, "returning")));
    await deploy(server, "returning", answering("in between"));
    expect((await createDeployment(server, "returning", [[first, 100]])).errors).toEqual([]);
    const later = Number(await ask(server, "returning"));
    // Each process counts for itself, so the next number is one more than one of theirs.
    expect(counts.concat(0).map((count) => count + 1)).toContain(later);
    if (processes === 1) expect(later).toBe(11);
  });

  test("a deleted Worker's versions are unloaded too", async () => {
    const id = await deploy(server, "deleted", COUNTING);
    await ask(server, "deleted");
    expect((await call(server, "DELETE", "/workers/services/deleted?force=true")).errors).toEqual([]);
    await waitUntil(() => logged(server, "version-unloaded").some(({ version }) => version === id));
    expect(await ask(server, "deleted")).toMatch(/^404 /);
  });

  test("a version that was loaded for a deployment that was then refused is unloaded", async () => {
    const stable = await deploy(server, "refused", NAMING_ITSELF);
    const fine = await uploadVersion(server, "refused", NAMING_ITSELF);
    const broken = await uploadVersion(server, "refused", NAMING_ITSELF);
    for (const file of await versionFiles(server, broken)) await rm(file);
    const reply = await createDeployment(server, "refused", [
      [fine, 50],
      [broken, 50],
    ]);
    expect([reply.status, reply.errors[0]?.message]).toEqual([503, expect.stringContaining(broken)]);
    expect(await ask(server, "refused")).toBe(stable);
    const unloaded = () => logged(server, "version-unloaded").filter(({ version }) => version === fine);
    await waitUntil(() => unloaded().length === processes);
  });

  test("healthz answers, and a new Worker is served at once although its host was asked for just before", async () => {
    expect((await fetch(`${server.control}/healthz`)).status).toBe(200);
    for (let round = 0; round < 5; round++) {
      expect(await ask(server, `brand-new-${round}`)).toMatch(/^404 /);
      await deploy(server, `brand-new-${round}`, answering("here"));
      for (let i = 0; i < 4; i++) expect(await ask(server, `brand-new-${round}`)).toBe("here");
    }
  });
});

test.each([1, 2])(
  "a deployment of a version that cannot be loaded is refused with --processes %i, and the one that serves goes on",
  async (processes) => {
    const args = ["--processes", String(processes)];
    let server = await useServer({ args });
    const stable = await deploy(server, "w", NAMING_ITSELF);
    const broken = await uploadVersion(server, "w", NAMING_ITSELF);
    expect(await server.stop()).toBe(0);
    for (const file of await versionFiles(server, broken)) await rm(file);
    server = await useServer({ like: server, args });

    const before = await deploymentsOf(server, "w");
    for (const shares of [
      [[broken, 100]],
      [
        [stable, 99.999],
        [broken, 0.001],
      ],
      [
        [stable, 100],
        [broken, 0],
      ],
    ]) {
      const reply = await createDeployment(server, "w", shares as [string, number][]);
      expect([reply.status, reply.success]).toEqual([503, false]);
      expect(reply.errors[0]?.message).toContain(broken);
      expect(reply.errors[0]?.message).toMatch(/Nothing was changed.*deploy another version/);
    }
    expect(await deploymentsOf(server, "w")).toEqual(before);
    expect(await ask(server, "w")).toBe(stable);
    expect((await createDeployment(server, "w", [[stable, 100]])).errors).toEqual([]);
  },
);

describe("several processes", () => {
  test("split by the same function, and each of them serves", async () => {
    const server = await useServer({ args: ["--processes", "2"] });
    const [stable, candidate] = [
      await deploy(server, "w", NAMING_ITSELF),
      await uploadVersion(server, "w", NAMING_ITSELF),
    ];
    await createDeployment(server, "w", [
      [stable, 50],
      [candidate, 50],
    ]);
    const rounds = [];
    for (let round = 0; round < 3; round++) rounds.push(await answersFor(server, "w", keys(40)));
    expect(rounds[1]).toEqual(rounds[0]);
    expect(rounds[2]).toEqual(rounds[0]);
    const run = await runSluice(["explain", "w", "--key", "key-7", "--json", "--data-dir", server.dataDir], {
      SLUICE_API_TOKEN: "token-for-the-tests",
    });
    expect(JSON.parse(run.stdout).version_id).toBe(rounds[0]?.get("key-7"));

    await deploy(server, "counting", COUNTING);
    const counts: string[] = [];
    await waitUntil(async () => {
      counts.push(await ask(server, "counting"));
      // Two counters, so some number comes twice.
      return new Set(counts).size < counts.length;
    });
  });

  test("one that is killed is started again, the others serve meanwhile, and it follows what was deployed while it was gone", async () => {
    const server = await useServer({ args: ["--processes", "2"] });
    const one = await deploy(server, "w", NAMING_ITSELF);
    const two = await uploadVersion(server, "w", NAMING_ITSELF);
    const [victim] = (await serverFile(server)).traffic_pids;
    process.kill(victim as number, "SIGKILL");
    await waitUntil(() => logged(server, "traffic-process-ended").length > 0);
    expect((await createDeployment(server, "w", [[two, 100]])).errors).toEqual([]);
    await waitUntil(async () => {
      const { traffic_pids } = await serverFile(server);
      return traffic_pids.length === 2 && !traffic_pids.includes(victim as number);
    });
    await waitUntil(async () => (await fetch(`${server.control}/healthz`)).status === 200);
    for (let i = 0; i < 40; i++) expect(await ask(server, "w")).toBe(two);
    expect((await createDeployment(server, "w", [[one, 100]])).errors).toEqual([]);
    for (let i = 0; i < 40; i++) expect(await ask(server, "w")).toBe(one);
  });

  test("one that did not answer is told again, and all that left while it was silent is unloaded in it too", async () => {
    const server = await useServer({ args: ["--processes", "2"] });
    const one = await deploy(server, "w", NAMING_ITSELF);
    const two = await uploadVersion(server, "w", NAMING_ITSELF);
    const [victim] = (await serverFile(server)).traffic_pids;
    process.kill(victim as number, "SIGSTOP");
    onTestFinished(() => void process.kill(victim as number, "SIGCONT"));
    expect((await createDeployment(server, "w", [[two, 100]])).errors).toEqual([]);
    process.kill(victim as number, "SIGCONT");
    const unloaded = () => logged(server, "version-unloaded").filter(({ version }) => version === one);
    await waitUntil(() => unloaded().length === 2);
    for (let i = 0; i < 40; i++) expect(await ask(server, "w")).toBe(two);
  });

  test("serve on while the control side is killed, and follow it again when it is back", async () => {
    const server = await useServer({ args: ["--processes", "2"] });
    const one = await deploy(server, "w", NAMING_ITSELF);
    const two = await uploadVersion(server, "w", NAMING_ITSELF);
    const { runtime_pid } = await serverFile(server);
    process.kill(runtime_pid, "SIGKILL");
    for (let i = 0; i < 30; i++) expect(await ask(server, "w")).toBe(one);
    await waitUntil(async () => (await serverFile(server)).runtime_pid !== runtime_pid);
    await waitUntil(
      async () => (await fetch(`${server.control}/healthz`).catch(() => undefined))?.status === 200,
    );
    expect((await createDeployment(server, "w", [[two, 100]])).errors).toEqual([]);
    for (let i = 0; i < 20; i++) expect(await ask(server, "w")).toBe(two);
  });

  test("show what they read, secrets included, to nobody else on this machine", async () => {
    const server = await useServer({ args: ["--processes", "2"] });
    const id = await deploy(server, "w", NAMING_ITSELF);
    const { runtime_pid, traffic_pids } = await serverFile(server);
    const ports = (await portsOf(runtime_pid)).filter((port) => port !== server.controlPort);
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) {
      for (const authorization of [undefined, "Bearer ", "Bearer undefined", "Bearer token-for-the-tests"]) {
        for (const key of [`version/${id}`, "deployment/w"]) {
          const headers = authorization === undefined ? {} : { Authorization: authorization };
          const response = await fetch(`http://127.0.0.1:${port}/${encodeURIComponent(key)}`, { headers });
          expect(response.status).toBeGreaterThanOrEqual(400);
          expect(await response.text()).not.toMatch(/schema|SLV1|export default/);
        }
      }
    }
    // They read it over a Unix socket, beside their own.
    const command = await readFile(`/proc/${traffic_pids[0]}/cmdline`, "utf8");
    const folder = /--socket-addr=follower=unix:([^\0]*)\/FOLLOWER_0/.exec(command)?.[1] as string;
    expect((await readdir(folder)).sort()).toEqual(["FOLLOWER_0", "FOLLOWER_1", "remote:0", "replica:0"]);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  test("finish their requests at SIGTERM, and none of them is left", async () => {
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

  test("outlive a kill -9 of the server, serving, until the next start ends them", async () => {
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
    "cannot be %j many, and the message names the flag",
    async (count) => {
      const run = await runSluice(["serve", "--processes", count]);
      expect(run.code).toBe(1);
      expect(run.stderr).toMatch(/--processes.*1 to 64/s);
    },
  );
});
