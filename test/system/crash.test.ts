/** kill -9 of everything, of the server alone and of the runtime alone: what was acknowledged is there, and nothing half. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { seeded } from "../../src/rollout/simulate.ts";
import {
  call,
  createDeployment,
  deploy,
  type Reply,
  readEnvelope,
  uploadForm,
  uploadVersion,
} from "../support/client.ts";
import {
  disposeServer,
  freePort,
  ROOT,
  type Server,
  series,
  startServer,
  TOKEN,
  useServer,
  waitUntil,
} from "../support/server.ts";
import {
  answersFor,
  childrenOf,
  commandOf,
  deploymentsOf,
  isAlive,
  keys,
  NAMING_ITSELF,
  runSluice,
  runtimePid,
  SEED,
  sweep,
  versionsOf,
} from "./helpers.ts";

const WORKER = "survivor";
const SCRIPT = `/workers/scripts/${WORKER}`;
const KEYS = keys(150);

/** Answers with its version and with the secret, so that a mixture of two would show. */
const PROBE = {
  modules: {
    "index.js": {
      content:
        'export default { fetch: (request, env) => new Response([env.VERSION.id, env.SECRET].join(" ")) };',
    },
  },
  metadata: { bindings: [{ type: "version_metadata", name: "VERSION" }] },
};

interface Record {
  readonly versions: readonly string[];
  readonly deployments: readonly string[];
  /** The active one, as `version percentage`. */
  readonly active: readonly string[];
}

async function recordOf(server: Server): Promise<Record> {
  const [versions, deployments] = await Promise.all([
    versionsOf(server, WORKER),
    deploymentsOf(server, WORKER),
  ]);
  return {
    versions: versions.map(({ number, id }) => `${number} ${id}`),
    deployments: deployments.map(({ id }) => id),
    active: deployments[0].versions.map(
      (share: { version_id: string; percentage: number }) => `${share.version_id} ${share.percentage}`,
    ),
  };
}

/** The router shows what the API says: every version with a share, no other one, each key where `explain` puts it. */
async function expectAgreement(server: Server, secret: string): Promise<void> {
  const { active } = await recordOf(server);
  const answers = await answersFor(server, WORKER, KEYS);
  const serving = active.filter((share) => !share.endsWith(" 0")).map((share) => share.split(" ")[0]);
  expect(new Set([...answers.values()].map((answer) => answer.split(" ")[0]))).toEqual(new Set(serving));
  for (const key of KEYS.slice(0, 10)) {
    const { result } = await call(server, "GET", `${SCRIPT}/explain?key=${key}`);
    expect(answers.get(key)).toBe(`${result.version_id} ${secret}`);
  }
}

/** Restarts it, with the processes that the killed one left swept when the test is done. */
async function restart(server: Server): Promise<Server> {
  const next = await startServer({ like: server });
  onTestFinished(() => disposeServer(next));
  return next;
}

/** Starts it and does not wait. */
function spawnServe({ trafficPort, controlPort, dataDir }: Server): ChildProcess {
  return spawn(
    process.execPath,
    [
      join(ROOT, "bin/sluice.js"),
      "serve",
      ...["--traffic-port", String(trafficPort), "--control-port", String(controlPort)],
      ...["--data-dir", dataDir, "--api-token", TOKEN, "--no-demo"],
    ],
    { cwd: ROOT, stdio: "ignore" },
  );
}

/** Waits until another runtime serves, after the one with this id was killed. */
async function waitUntilBack(server: Server, killed: number): Promise<void> {
  await waitUntil(async () => (await runtimePid(server)) !== killed);
  await waitUntil(() =>
    server.traffic("nobody").then(
      ({ status }) => status === 404,
      () => false,
    ),
  );
}

interface Change {
  readonly name: string;
  readonly run: (server: Server) => Promise<Response>;
}

function changes(ids: readonly string[], percentage: number, secret: string): readonly Change[] {
  const json = (body: object) => ({ body: JSON.stringify(body) });
  const [newest, before] = ids;
  return [
    {
      name: "version",
      run: (server) => server.api("POST", `${SCRIPT}/versions`, { body: uploadForm(PROBE) }),
    },
    { name: "deploy", run: (server) => server.api("PUT", SCRIPT, { body: uploadForm(PROBE) }) },
    {
      name: "deployment",
      run: (server) =>
        server.api(
          "POST",
          `${SCRIPT}/deployments`,
          json({
            strategy: "percentage",
            versions: [
              { version_id: newest, percentage },
              { version_id: before, percentage: 100 - percentage },
            ],
          }),
        ),
    },
    {
      name: "secret",
      run: (server) => server.api("PUT", `${SCRIPT}/secrets`, json({ name: "SECRET", text: secret })),
    },
  ];
}

test("kill -9 during a change leaves the old record or the new one, never a mixture, and loses nothing acknowledged", async () => {
  const ROUNDS = series({ full: 16, usual: 8 });
  const random = seeded(SEED);
  let server = await startServer();
  const left: number[] = [];
  onTestFinished(async () => {
    await disposeServer(server);
    sweep(left);
  });
  await deploy(server, WORKER, PROBE);
  await call(server, "PUT", `${SCRIPT}/secrets`, { name: "SECRET", text: "first" });
  await uploadVersion(server, WORKER, PROBE);
  let secret = "first";

  for (let round = 0; round < ROUNDS; round++) {
    // A secret can be changed in place only while the latest version serves alone, so each round begins there.
    const id = await deploy(server, WORKER, PROBE);
    const ids = [id, (await versionsOf(server, WORKER))[1].id];
    const before = await recordOf(server);
    const percentage = 10 + Math.floor(random() * 80);
    const wanted = `secret-${round}`;
    const change = changes(ids, percentage, wanted)[round % 4] as Change;
    const wholly = Math.floor(round / 4) % 2 === 0;
    // A change with code takes some 20 ms here, the others less.
    const delay = random() * (change.name === "version" || change.name === "deploy" ? 30 : 12);
    const what = wholly ? "the server" : "the runtime";
    const where = `seed ${SEED}, round ${round}: ${change.name}, ${what} killed after ${delay.toFixed(1)} ms`;

    const runtime = await runtimePid(server);
    if (wholly) left.push(...childrenOf(server));
    const reply: Promise<Reply | undefined> = change
      .run(server)
      .then(readEnvelope)
      .catch(() => undefined);
    await sleep(delay);
    if (wholly) await server.kill();
    else process.kill(runtime, "SIGKILL");
    const acknowledged = await reply;
    if (acknowledged !== undefined) expect(acknowledged.errors, where).toEqual([]);
    if (wholly) server = await startServer({ like: server });
    else await waitUntilBack(server, runtime);

    const after = await recordOf(server);
    const added = after.versions.slice(0, after.versions.length - before.versions.length);
    expect(after.versions.slice(added.length), where).toEqual(before.versions);
    const deployed = after.deployments[0] !== before.deployments[0];
    if (deployed) expect(after.deployments[1], where).toBe(before.deployments[0]);
    else expect(after, where).toMatchObject({ deployments: before.deployments, active: before.active });

    const number = before.versions.length + 1;
    const [versionId] = added.map((line) => line.split(" ")[1]);
    const makesVersion = change.name !== "deployment";
    const makesDeployment = change.name !== "version";
    // Both halves of a change, or neither.
    expect([added.length, deployed], where).toBeOneOf([
      [0, false],
      [makesVersion ? 1 : 0, makesDeployment],
    ]);
    if (acknowledged !== undefined) {
      expect([added.length, deployed], where).toEqual([makesVersion ? 1 : 0, makesDeployment]);
    }
    if (added.length === 1) expect(added, where).toEqual([`${number} ${versionId}`]);
    if (deployed) {
      expect(after.active, where).toEqual(
        change.name === "deployment"
          ? [`${ids[0]} ${percentage}`, `${ids[1]} ${100 - percentage}`]
          : [`${versionId} 100`],
      );
    }
    if (change.name === "secret" && deployed) secret = wanted;
    await expectAgreement(server, secret).catch((error) => {
      throw new Error(`${where}: ${error.message}`, { cause: error });
    });
    const secrets = await call(server, "GET", `${SCRIPT}/secrets`);
    expect(secrets.result, where).toEqual([{ name: "SECRET", type: "secret_text" }]);
  }

  // And everything that was ever listed can still serve.
  const [newest, ...older] = await versionsOf(server, WORKER);
  for (const { id } of older) {
    const override = { "Cloudflare-Workers-Version-Overrides": `${WORKER}="${id}"` };
    await createDeployment(server, WORKER, [
      [newest.id, 100],
      [id, 0],
    ]);
    const answer = await server.traffic(WORKER, { headers: override });
    expect(answer.body.split(" ")[0], `seed ${SEED}`).toBe(id);
  }
});

test("kill -9 while the first version of a Worker is made leaves it whole or not there, and it can be made again", async () => {
  const random = seeded(SEED + 1);
  const server = await useServer();
  await deploy(server, "warm", NAMING_ITSELF);
  for (let round = 0; round < series({ full: 6, usual: 3 }); round++) {
    const worker = `first-${round}`;
    const delay = random() * 40;
    const where = `seed ${SEED}, round ${round}, killed after ${delay.toFixed(1)} ms`;
    const pid = await runtimePid(server);
    const reply = deploy(server, worker, NAMING_ITSELF).catch(() => undefined);
    await sleep(delay);
    process.kill(pid, "SIGKILL");
    const acknowledged = await reply;
    await waitUntilBack(server, pid);

    const found = await call(server, "GET", `/workers/scripts/${worker}/versions`);
    const answer = await server.traffic(worker);
    if (found.success) {
      const [version] = found.result.items;
      expect(answer, where).toMatchObject({ status: 200, body: version.id });
      if (acknowledged !== undefined) expect(version.id, where).toBe(acknowledged);
    } else {
      expect([acknowledged, found.status, answer.status], where).toEqual([undefined, 404, 404]);
    }
    const id = await deploy(server, worker, NAMING_ITSELF);
    expect((await server.traffic(worker)).body, where).toBe(id);
  }
});

test("while the server is dead its runtime keeps serving, whatever the Workers log, and the next start takes over", async () => {
  const server = await useServer();
  const children = childrenOf(server);
  onTestFinished(() => sweep(children));
  const chatty = {
    modules: {
      "index.js": {
        content: `export default {
          fetch(request) {
            console.log("a line of " + "text".repeat(200));
            if (request.url.endsWith("/throw")) throw new Error("on purpose");
            return new Response("still here");
          },
        };`,
      },
    },
  };
  await deploy(server, "chatty", chatty);
  children.push(...childrenOf(server));
  await server.killSupervisor();

  for (let i = 0; i < 300; i++) {
    expect(await server.traffic("chatty")).toMatchObject({ status: 200, body: "still here" });
    expect(await server.traffic("chatty", { path: "/throw" })).toMatchObject({ status: 500 });
  }
  const versions = await versionsOf(server, "chatty");
  // What needs the dead process is refused, and nothing of it stays.
  const refused = await readEnvelope(
    await server.api("POST", "/workers/scripts/chatty/versions", { body: uploadForm(chatty) }),
  );
  expect(refused).toMatchObject({ status: 503, success: false });

  const next = await restart(server);
  expect(await versionsOf(next, "chatty")).toEqual(versions);
  expect((await next.traffic("chatty")).body).toBe("still here");
  const id = await deploy(next, "chatty", NAMING_ITSELF);
  expect((await next.traffic("chatty")).body).toBe(id);
});

test("the next start after a kill -9 ends every process that the dead server left behind", async () => {
  const server = await useServer();
  await deploy(server, "one", NAMING_ITSELF);
  const children = childrenOf(server);
  onTestFinished(() => sweep(children));
  await server.killSupervisor();
  await restart(server);
  await waitUntil(() => !children.some(isAlive), 3_000).catch(() => {
    expect(children.filter(isAlive).map(commandOf)).toEqual([]);
  });
});

test("a second server on the same folder is refused in words while the first lives, which notices nothing", async () => {
  const server = await useServer();
  await deploy(server, "only", NAMING_ITSELF);
  const second = await runSluice([
    "serve",
    ...["--traffic-port", String(await freePort()), "--control-port", String(await freePort())],
    ...["--data-dir", server.dataDir, "--no-demo"],
  ]);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(String(server.process.pid));
  expect(second.stderr).toContain(server.dataDir);
  expect(second.stderr).toContain("--data-dir");
  expect(second.stderr).not.toMatch(/\n\s+at /);
  const id = await deploy(server, "only", NAMING_ITSELF);
  expect((await server.traffic("only")).body).toBe(id);
});

test("of two servers that start at the same moment on one folder, only one serves", async () => {
  const first = await startServer();
  await first.stop();
  const twin = {
    dataDir: first.dataDir,
    trafficPort: await freePort(),
    controlPort: await freePort(),
  } as Server;
  const started = await Promise.allSettled([startServer({ like: first }), startServer({ like: twin })]);
  const serving = started.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  onTestFinished(async () => {
    for (const server of serving) await disposeServer(server);
  });
  const refused = started.flatMap((start) => (start.status === "rejected" ? [String(start.reason)] : []));
  expect(serving).toHaveLength(1);
  expect(refused.join()).toContain("--data-dir");
});

test("a server that was killed while it started does not stop the next one from starting", async () => {
  const random = seeded(SEED + 2);
  let server = await startServer();
  const left: number[] = [];
  onTestFinished(async () => {
    await disposeServer(server);
    sweep(left);
  });
  const id = await deploy(server, "patient", NAMING_ITSELF);
  await server.stop();
  for (let round = 0; round < 3; round++) {
    const delay = 200 + random() * 1500;
    const where = `seed ${SEED}, round ${round}, killed after ${delay.toFixed(0)} ms`;
    const child = spawnServe(server);
    await sleep(delay);
    left.push(...childrenOf({ process: child } as Server));
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    server = await startServer({ like: server }).catch((error) => {
      throw new Error(`${where}: ${error.message}`, { cause: error });
    });
    expect((await server.traffic("patient")).body, where).toBe(id);
    await server.stop();
  }
});

test("kill -9 of the runtime alone: it is restarted, serves the active deployments, and the API works", async () => {
  const server = await useServer();
  const stable = await deploy(server, WORKER, PROBE);
  const candidate = await uploadVersion(server, WORKER, PROBE);
  await createDeployment(server, WORKER, [
    [stable, 60],
    [candidate, 40],
  ]);
  const before = await recordOf(server);
  const answers = await answersFor(server, WORKER, KEYS);
  for (let round = 0; round < 2; round++) {
    const pid = await runtimePid(server);
    process.kill(pid, "SIGKILL");
    await waitUntilBack(server, pid);
    expect(await recordOf(server)).toEqual(before);
    expect(await answersFor(server, WORKER, KEYS)).toEqual(answers);
  }
  const id = await deploy(server, WORKER, PROBE);
  expect((await server.traffic(WORKER)).body).toBe(`${id} `);
  expect(await server.stop()).toBe(0);
});
