/** Ends of processes that nobody asked for, in every place where an operator may look; and quiet where there is none. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Health } from "../../../src/metrics/types.ts";
import type { Incident } from "../../../src/versions/incident.ts";
import {
  answering,
  call,
  createDeployment,
  deploy,
  type Upload,
  uploadVersion,
} from "../../support/client.ts";
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
import { childrenOf, keys, runSluice, sweep } from "../helpers.ts";

const KEY = "Cloudflare-Workers-Version-Key";
const LOOPING: Upload = {
  modules: {
    "index.js": {
      content: `export default { fetch(request) {
  if (new URL(request.url).pathname === "/loop") for (;;);
  return new Response("bad");
} };`,
    },
  },
};

const incidents = async (server: Server): Promise<Incident[]> =>
  (await call(server, "GET", "/incidents")).result;
const health = async (server: Server): Promise<Health> => (await call(server, "GET", "/processes")).result;

async function metric(server: Server, start: string): Promise<string[]> {
  const response = await fetch(`${server.control}/metrics`, {
    headers: { Authorization: `Bearer ${TOKEN}` },
  });
  return (await response.text()).split("\n").filter((line) => line.startsWith(start));
}

/** A page of the dashboard, as the admin sees it. */
async function page(server: Server, path: string): Promise<string> {
  const signedIn = await fetch(`${server.control}/sign-in`, {
    method: "POST",
    redirect: "manual",
    body: new URLSearchParams({ token: TOKEN, next: "/" }),
  });
  const Cookie = (signedIn.headers.get("Set-Cookie") ?? "").split(";")[0] as string;
  const shown = await fetch(`${server.control}${path}`, { headers: { Cookie } });
  expect(shown.status).toBe(200);
  return shown.text();
}

/** The incidents of a process, once there are as many. The API may be what is being restarted. */
async function incidentsOf(server: Server, process: string, count: number): Promise<Incident[]> {
  let found: Incident[] = [];
  await waitUntil(async () => {
    const all = await incidents(server).catch(() => []);
    found = all.filter((incident) => incident.process === process);
    return found.length >= count;
  });
  return found;
}

describe("a process that is killed", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ args: ["--processes", "2"] });
  });
  afterAll(() => disposeServer(server));

  test.each(["traffic-1", "control"])(
    "%s, is an incident in API, metrics, dashboard and command",
    async (name) => {
      await waitUntil(async () =>
        (await health(server)).processes.some((each) => each.name === name && each.up),
      );
      const { processes } = await health(server);
      process.kill(processes.find((each) => each.name === name)?.pid as number, "SIGKILL");
      const [incident] = await incidentsOf(server, name, 1);
      expect(incident).toEqual({
        id: expect.any(String),
        process: name,
        cause: "ended",
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        evidence: { code: null, signal: "SIGKILL" },
        versions: [],
        culprit: null,
      });

      const labels = `{process="${name}",cause="ended"`;
      await waitUntil(
        async () => (await metric(server, `sluice_process_up{process="${name}"} 1`)).length === 1,
      );
      // A sample that was on its way may come first.
      await waitUntil(
        async () => (await metric(server, `sluice_process_restarts_total${labels}} 1`)).length === 1,
      );
      const [last] = await metric(server, `sluice_last_incident_timestamp_seconds${labels}`);
      expect(Number(last?.split(" ").at(-1))).toBeCloseTo(Date.parse(incident?.at as string) / 1000, 1);

      const sentence = `Process ${name} ended by itself (SIGKILL)`;
      expect(await page(server, "/")).toContain(sentence);
      expect(await page(server, "/processes")).toContain("signal = SIGKILL");
      const run = await runSluice(["incidents", "--data-dir", server.dataDir], { SLUICE_API_TOKEN: TOKEN });
      expect([run.code, run.stdout]).toEqual([0, expect.stringContaining(sentence)]);
    },
  );

  test("is recorded for good: a later start lists it too", async () => {
    const before = await incidents(server);
    expect(before.length).toBeGreaterThan(0);
    expect(await server.stop()).toBe(0);
    server = await startServer({ like: server });
    expect(await incidents(server)).toEqual(before);
  });
});

test("a candidate that hangs is named in API, metrics, dashboard, audit trail and webhook", async () => {
  const heard: Record<string, unknown>[] = [];
  const receiver = createServer(async (incoming, response) => {
    let body = "";
    for await (const chunk of incoming) body += chunk;
    heard.push(JSON.parse(body));
    response.writeHead(204).end();
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");
  onTestFinished(() => void receiver.close());
  const server = await useServer({ args: ["--hang-timeout", "2"] });
  const stable = await deploy(server, "shop", answering("good"));
  await deploy(server, "neighbour", answering("neighbour"));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const webhooks = [{ url }, { url, format: "slack" }];
  expect((await call(server, "PATCH", "/workers/scripts/shop/options", { webhooks })).errors).toEqual([]);
  const candidate = await uploadVersion(server, "shop", LOOPING);
  await createDeployment(server, "shop", [
    [stable, 50],
    [candidate, 50],
  ]);
  const loop = async () => {
    for (const key of keys(30)) {
      const { body } = await server.traffic("shop", { headers: { [KEY]: key } });
      if (body !== "bad") continue;
      return server.traffic("shop", { path: "/loop", headers: { [KEY]: key } });
    }
    return undefined;
  };
  await waitUntil(async () => {
    await loop();
    return (await incidents(server)).length >= 2;
  });
  const [second, first] = await incidentsOf(server, "canary", 2);
  const culprit = { worker: "shop", version: candidate };
  expect([first?.versions, first?.culprit]).toEqual([[culprit], null]);
  expect([second?.versions, second?.culprit]).toEqual([[culprit], culprit]);
  expect(first?.cause).toBe("hang");
  expect(first?.evidence.silent_ms).toBeGreaterThanOrEqual(2_000);

  expect(await metric(server, "sluice_last_incident_timestamp_seconds")).toEqual([
    expect.stringContaining(`{process="canary",cause="hang",worker="shop",version="${candidate}"}`),
  ]);
  expect(await metric(server, 'sluice_process_restarts_total{process="canary",cause="hang"')).toEqual([
    'sluice_process_restarts_total{process="canary",cause="hang"} 2',
  ]);

  const audit = (await call(server, "GET", "/workers/scripts/shop/audit")).result.filter(
    ({ action }: { action: string }) => action === "incident",
  );
  expect(audit.map(({ detail }: { detail: unknown }) => detail)).toEqual([
    expect.objectContaining({
      incident_id: second?.id,
      process: "canary",
      versions: [candidate],
      culprit: candidate,
    }),
    expect.objectContaining({
      incident_id: first?.id,
      process: "canary",
      versions: [candidate],
      culprit: null,
    }),
  ]);
  const others = (await call(server, "GET", "/workers/scripts/neighbour/audit")).result;
  expect(others.map(({ action }: { action: string }) => action)).not.toContain("incident");

  const sentence = `The cause is version ${candidate} of shop.`;
  for (const path of ["/", "/workers/shop"]) expect(await page(server, path)).toContain(sentence);
  expect(await page(server, "/workers/neighbour")).not.toContain(candidate);
  expect(await page(server, "/workers/shop/audit")).toContain("process canary ended (hang), the cause:");

  const ofIncidents = () => heard.filter(({ event }) => event === "incident");
  await waitUntil(() => ofIncidents().length === 2);
  expect(ofIncidents()).toContainEqual(
    expect.objectContaining({
      worker: "shop",
      incident_id: second?.id,
      process: "canary",
      cause: "hang",
      version_ids: [candidate],
      culprit_version_id: candidate,
    }),
  );
  await waitUntil(() => heard.some(({ text }) => typeof text === "string" && text.endsWith(sentence)));
});

describe("what the supervisor says", () => {
  test("is there for every process and the disk, and old once nobody says it any more", async () => {
    const server = await useServer();
    const names = ["supervisor", "objects", "canary", "control", "traffic-0"];
    await waitUntil(
      async () => (await health(server)).processes.filter(({ up }) => up).length === names.length,
    );
    const { processes, disk, is_stale } = await health(server);
    expect([processes.map(({ name }) => name), is_stale]).toEqual([names, false]);
    for (const { resident_memory_bytes, open_fds, max_fds, cpu_seconds } of processes) {
      for (const figure of [resident_memory_bytes, open_fds, max_fds]) expect(figure).toBeGreaterThan(0);
      expect(cpu_seconds).toBeGreaterThanOrEqual(0);
    }
    expect(disk?.free_bytes).toBeGreaterThan(0);
    expect(disk?.size_bytes).toBeGreaterThan(disk?.free_bytes as number);
    const run = await runSluice(["processes", "--data-dir", server.dataDir], { SLUICE_API_TOKEN: TOKEN });
    expect([run.code, run.stdout]).toEqual([0, expect.stringMatching(/^traffic-0\s+up\s+\d+/m)]);

    const left = childrenOf(server);
    await server.killSupervisor();
    onTestFinished(() => sweep(left));
    await waitUntil(async () => (await health(server)).is_stale);
    expect(await metric(server, "sluice_process_")).toEqual(['sluice_process_up{process="supervisor"} 0']);
    expect(await page(server, "/processes")).toContain("sluice serve has said nothing since");
  });

  test("is taken from the admin only, and refused where it is not valid", async () => {
    const server = await useServer();
    const { result } = await call(server, "POST", "/tokens", { name: "ci", role: "deploy" });
    const asDeployer = { headers: { Authorization: `Bearer ${result.value}` }, body: "{}" };
    for (const [method, path] of [
      ["POST", "/incidents"],
      ["PUT", "/processes"],
    ] as const) {
      expect((await server.api(method, path, asDeployer)).status).toBe(403);
      expect((await call(server, method, path, { process: "No" })).status).toBe(400);
    }
    const wrong = { id: crypto.randomUUID(), process: "canary", cause: "boredom", at: "yesterday" };
    const { errors } = await call(server, "POST", "/incidents", wrong);
    expect(errors[0]?.message).toMatch(/cause: .*at: /);
    expect(await incidents(server)).toEqual([]);
  });

  test("counts once, however often it says so", async () => {
    const server = await useServer();
    const version = await deploy(server, "shop", answering("a"));
    const incident = {
      id: crypto.randomUUID(),
      process: "canary",
      cause: "hang",
      at: new Date().toISOString(),
      versions: [
        { worker: "shop", version },
        { worker: "deleted", version: crypto.randomUUID() },
      ],
    };
    for (let i = 0; i < 2; i++)
      expect((await call(server, "POST", "/incidents", incident)).errors).toEqual([]);
    expect(await incidents(server)).toHaveLength(1);
    const { result } = await call(server, "GET", "/workers/scripts/shop/audit");
    expect(result.filter(({ action }: { action: string }) => action === "incident")).toHaveLength(1);
    expect((await call(server, "GET", "/workers/scripts/deleted/audit")).status).toBe(404);
  });
});

const FAULT = /"level":"(warn|error)"/;

describe("a server that is well", () => {
  test("logs nothing that reads as a fault from its start to its stop, and has no incident", async () => {
    const args = ["--processes", "2"];
    const server = await useServer({ args, demo: true });
    for (const key of keys(20)) {
      expect((await server.traffic("hello", { headers: { [KEY]: key } })).status).toBe(200);
    }
    expect(await incidents(server)).toEqual([]);
    expect(await server.stop()).toBe(0);
    expect(server.output).not.toMatch(FAULT);
    const again = await startServer({ like: server, args });
    expect(await incidents(again)).toEqual([]);
    await again.stop();
    expect(again.output).not.toMatch(FAULT);
  });

  test("does so too where a terminal sends Ctrl-C to all of its processes", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const at = {
      trafficPort: await freePort(),
      controlPort: await freePort(),
      dataDir: join(folder, "data"),
    };
    const child = spawn(
      process.execPath,
      [
        ...[join(ROOT, "bin/sluice.js"), "serve", "--no-demo", "--hang-timeout", "20", "--api-token", TOKEN],
        ...["--traffic-port", String(at.trafficPort), "--control-port", String(at.controlPort)],
        ...["--data-dir", at.dataDir],
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: cleanEnv(), detached: true },
    );
    const server = new Server(child, at);
    onTestFinished(async () => void (await server.stop()));
    await waitUntil(() => server.output.includes('"event":"ready"'));
    await deploy(server, "slow", {
      modules: {
        "index.js": {
          content: `export default { async fetch() { await scheduler.wait(1_500); return new Response("slow"); } };`,
        },
      },
    });
    const { pid } = JSON.parse(await readFile(join(at.dataDir, "server.json"), "utf8")) as { pid: number };
    const slow = server.traffic("slow");
    await waitUntil(async () => (await health(server)).processes.length > 0);
    const exited = once(child, "exit");
    process.kill(-pid, "SIGINT");
    expect((await slow).body).toBe("slow");
    expect(await exited).toEqual([0, null]);
    expect(server.output).not.toMatch(FAULT);
  });
});
