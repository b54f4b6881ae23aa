/** `sluice serve --safe-mode`: stable versions only, and no alarms, queues or crons. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import {
  answering,
  call,
  createDeployment,
  deploy,
  type Upload,
  uploadVersion,
} from "../../support/client.ts";
import {
  disposeServer,
  type Server,
  type ServerOptions,
  startServer,
  TOKEN,
  waitUntil,
} from "../../support/server.ts";
import { deploymentsOf, keys, logged, runSluice } from "../helpers.ts";
import { LOOPING, underLoad } from "./load.ts";

const SAFE = "--safe-mode";
const KEY = "Cloudflare-Workers-Version-Key";
const OVERRIDES = "Cloudflare-Workers-Version-Overrides";

/** Longer than what waits needs to look whether safe mode has ended. */
const LOOK_MS = 6_000;

/** A server that the test may stop and start again on the same folder. */
async function own(options: ServerOptions): Promise<Server> {
  const server = await startServer(options);
  onTestFinished(() => disposeServer(server));
  return server;
}

async function again(server: Server, args: readonly string[], hangs = false): Promise<Server> {
  await server.stop();
  return own({ like: server, args, hangs });
}

const bodiesOf = async (server: Server, worker: string, asked: readonly string[]) =>
  Promise.all(asked.map(async (key) => (await server.traffic(worker, { headers: { [KEY]: key } })).body));

/** Consumes a queue, has an object with an alarm, and a cron. Says in KV what ran. */
const worker = (queue = ""): Upload => ({
  modules: {
    "index.js": {
      content: `import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {
  remind() { return this.ctx.storage.setAlarm(Date.now()); }
  alarm() { return this.env.KV.put("alarm", "ran"); }
}
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/begin") { await env.QUEUE.send("message"); await env.ROOM.getByName("one").remind(); }
    return Response.json((await env.KV.list()).keys.map(({ name }) => name).sort());
  },
  async queue(batch, env) { ${queue} await env.KV.put("queue", "ran"); },
  scheduled: (event, env) => env.KV.put("cron", "ran"),
};`,
    },
  },
  metadata: {
    bindings: [
      { type: "queue", name: "QUEUE", queue_name: "work" },
      { type: "kv_namespace", name: "KV", namespace_id: "ran" },
      { type: "durable_object_namespace", name: "ROOM", class_name: "Room" },
    ],
    ...(queue === "" ? {} : { migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] } }),
  },
});

async function consume(server: Server, queue: string, script: string): Promise<void> {
  const [found] = (await call(server, "GET", `/queues?name=${queue}`)).result;
  const consumer = { type: "worker", script_name: script, settings: { batch_size: 1, max_wait_time_ms: 0 } };
  const reply = await call(server, "POST", `/queues/${found.queue_id}/consumers`, consumer);
  expect(reply.errors).toEqual([]);
}

test("requests for a candidate by key, override or preview get the stable version or a refusal, and the next normal start serves the recorded split", async () => {
  const normal = await own({});
  const stable = await deploy(normal, "shop", answering("stable"));
  const candidate = await uploadVersion(normal, "shop", answering("candidate"));
  await createDeployment(normal, "shop", [
    [stable, 50],
    [candidate, 50],
  ]);
  const asked = keys(30);
  const before = await bodiesOf(normal, "shop", asked);
  expect(new Set(before)).toEqual(new Set(["stable", "candidate"]));
  const recorded = await deploymentsOf(normal, "shop");

  const safe = await again(normal, [SAFE]);
  expect(new Set(await bodiesOf(safe, "shop", asked))).toEqual(new Set(["stable"]));
  const overridden = await safe.traffic("shop", { headers: { [OVERRIDES]: `shop="${candidate}"` } });
  expect(overridden.body).toBe("stable");
  const preview = await safe.traffic(`${candidate.slice(0, 8)}-shop`);
  expect([preview.status, preview.body]).toEqual([503, expect.stringContaining("safe mode")]);
  expect((await safe.traffic(`${stable.slice(0, 8)}-shop`)).body).toBe("stable");
  expect(await deploymentsOf(safe, "shop")).toEqual(recorded);

  const after = await again(safe, []);
  expect(await bodiesOf(after, "shop", asked)).toEqual(before);
});

test("safe mode is said aloud: by the log, /healthz, /metrics, the API and every page", async () => {
  const safe = await own({ args: [SAFE] });
  await deploy(safe, "shop", answering("stable"));
  expect(logged(safe, "safe-mode")).toHaveLength(1);
  expect(await (await fetch(`${safe.control}/healthz`)).json()).toEqual({ status: "ok", safe_mode: true });
  const metrics = await fetch(`${safe.control}/metrics`, { headers: { Authorization: `Bearer ${TOKEN}` } });
  expect(await metrics.text()).toMatch(/^sluice_safe_mode 1$/m);
  expect((await call(safe, "GET", "/server")).result).toEqual({ safe_mode: true });
  expect((await call(safe, "GET", "/workers/scripts/shop/explain?key=k")).result.safe_mode).toBe(true);
  expect(await (await fetch(`${safe.control}/sign-in`)).text()).toContain("Safe mode");

  const normal = await again(safe, []);
  expect(logged(normal, "safe-mode")).toEqual([]);
  expect(await (await fetch(`${normal.control}/healthz`)).json()).toEqual({ status: "ok" });
  expect((await call(normal, "GET", "/server")).result).toEqual({ safe_mode: false });
  expect(await (await fetch(`${normal.control}/sign-in`)).text()).not.toContain("Safe mode");
});

test("a start under load on a version that loops on every request gets to its rollback, and the good version serves", async () => {
  const normal = await own({ args: ["--hang-timeout", "2"] });
  await deploy(normal, "shop", answering("good"));
  await deploy(normal, "shop", LOOPING);
  const end = underLoad(normal, "shop", "/loop");
  onTestFinished(end);
  await sleep(1_000);
  await normal.kill();
  const safe = await own({ like: normal, args: [SAFE, "--hang-timeout", "2"], hangs: true });
  const run = await runSluice(["rollback", "shop", "--data-dir", safe.dataDir], { SLUICE_API_TOKEN: TOKEN });
  expect([run.code, run.stderr]).toEqual([0, ""]);
  await waitUntil(
    async () => (await safe.traffic("shop", { path: "/loop" }).catch(() => undefined))?.body === "good",
  );
});

test("a message, an alarm and a cron wait while it is on, and the fixed version gets them after the next normal start", async () => {
  const safe = await own({ args: [SAFE, "--hang-timeout", "2"] });
  await deploy(safe, "work", worker("for (;;);"));
  await consume(safe, "work", "work");
  await call(safe, "PUT", "/workers/scripts/work/schedules", [{ cron: "* * * * *" }]);
  expect((await safe.traffic("work", { path: "/begin" })).status).toBe(200);

  const tomorrow = `--clock-offset=${86_400}`;
  const later = await again(safe, [SAFE, tomorrow, "--hang-timeout", "2"]);
  await sleep(LOOK_MS);
  expect((await later.traffic("work")).body).toBe("[]");
  expect((await call(later, "GET", "/workers/scripts/work/schedules/runs")).result).toEqual([]);
  expect(logged(later, "process-hangs")).toEqual([]);
  await deploy(later, "work", worker());
  await sleep(LOOK_MS);
  expect((await later.traffic("work")).body).toBe("[]");

  const normal = await again(later, [tomorrow, "--hang-timeout", "2"]);
  await waitUntil(async () => (await normal.traffic("work")).body === '["alarm","cron","queue"]');
  expect(logged(normal, "process-hangs")).toEqual([]);
});

test("a rollout stays as it is, though its candidate has no traffic, and goes on after the next normal start", async () => {
  const normal = await own({});
  await deploy(normal, "shop", answering("stable"));
  await uploadVersion(normal, "shop", answering("candidate"));
  const started = await runSluice(
    [
      ...["rollout", "start", "shop", "--to", "latest", "--stages", "50%:1s,100%", "--min-exposures", "1"],
      ...["--json", "--data-dir", normal.dataDir],
    ],
    { SLUICE_API_TOKEN: TOKEN },
  );
  expect([started.code, started.stderr]).toEqual([0, ""]);
  const { id } = JSON.parse(started.stdout);
  const rolloutOf = async (server: Server) =>
    (await call(server, "GET", `/workers/scripts/shop/rollouts/${id}`)).result;

  const safe = await again(normal, [SAFE]);
  const before = await rolloutOf(safe);
  const recorded = await deploymentsOf(safe, "shop");
  expect(new Set(await bodiesOf(safe, "shop", keys(50)))).toEqual(new Set(["stable"]));
  await sleep(3_000);
  expect(await rolloutOf(safe)).toEqual(before);
  expect(await deploymentsOf(safe, "shop")).toEqual(recorded);

  const after = await again(safe, []);
  await waitUntil(async () => {
    await bodiesOf(after, "shop", keys(60));
    return (await rolloutOf(after)).phase === "promoted";
  });
});
