/** Messages, alarms and crons that end their process: they are not run again and again, and nothing of them is lost. */
import { afterEach, describe, expect, test } from "vitest";
import { call, deploy, type Upload } from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { logged, runSluice } from "../helpers.ts";

const HANG = ["--hang-timeout", "1"];
const MODES: [string, string[]][] = [
  ["in the default processes", HANG],
  ["in one process", [...HANG, "--single-process"]],
];

let servers: Server[] = [];
afterEach(async () => {
  for (const server of servers) await disposeServer(server);
  servers = [];
});

async function own(options: Parameters<typeof startServer>[0]): Promise<Server> {
  const server = await startServer(options);
  servers.push(server);
  return server;
}

const worker = (content: string, metadata: Upload["metadata"] = {}): Upload => ({
  modules: { "index.js": { content } },
  metadata,
});

const hangs = (server: Server) => logged(server, "process-hangs").length;

interface Held {
  readonly kind: string;
  readonly what: string;
}

/** What the Worker's quarantine lists, once it lists something. */
async function heldOf(server: Server, name: string): Promise<Held[]> {
  let held: Held[] = [];
  await waitUntil(async () => {
    const reply = await call(server, "GET", `/workers/scripts/${name}/quarantine`).catch(() => undefined);
    held = reply?.result?.events ?? [];
    return held.length > 0;
  });
  return held;
}

const ask = (server: Server, name: string, path: string) =>
  server.traffic(name, { path }).then(
    ({ body }) => body,
    () => "",
  );

/** Notes each message in KV, and loops at one of them. */
const consumer = (bad: string, namespace: string) =>
  worker(
    `export default {
      async fetch(request, env) {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname === "/send") await env.QUEUE.sendBatch(searchParams.get("bodies").split(",").map((body) => ({ body })));
        return Response.json((await env.SEEN.list()).keys.map(({ name }) => name).sort());
      },
      async queue(batch, env) {
        for (const { body } of batch.messages) {
          if (body === ${JSON.stringify(bad)}) for (;;);
          await env.SEEN.put(body, "1");
        }
      },
    };`,
    {
      bindings: [
        { type: "queue", name: "QUEUE", queue_name: "orders" },
        { type: "kv_namespace", name: "SEEN", namespace_id: namespace },
      ],
    },
  );

describe.each(MODES)("%s,", (_, args) => {
  test("a message that its consumer hangs on is held after the second time, and all others are delivered", async () => {
    const server = await own({ args });
    await call(server, "POST", "/queues", { queue_name: "orders" });
    const queues = await call(server, "GET", "/queues?name=orders");
    const namespace = (await call(server, "POST", "/storage/kv/namespaces", { title: "seen" })).result.id;
    await deploy(server, "shop", consumer("bad", namespace));
    await call(server, "POST", `/queues/${queues.result[0].queue_id}/consumers`, {
      script_name: "shop",
      type: "worker",
      settings: { batch_size: 10, max_wait_time_ms: 100, max_retries: 50 },
    });
    await ask(server, "shop", "/send?bodies=a,bad,b,c");
    expect(await heldOf(server, "shop")).toMatchObject([
      { kind: "message", what: expect.stringMatching(/^orders\//) },
    ]);
    await waitUntil(async () => (await ask(server, "shop", "/")) === '["a","b","c"]');
    await ask(server, "shop", "/send?bodies=d,e");
    await waitUntil(async () => (await ask(server, "shop", "/")) === '["a","b","c","d","e"]');
    expect(hangs(server)).toBe(2);
    // Other code gets it.
    await deploy(server, "shop", consumer("", namespace));
    await waitUntil(async () => (await ask(server, "shop", "/")) === '["a","b","bad","c","d","e"]');
    expect((await call(server, "GET", "/workers/scripts/shop/quarantine")).result.events).toEqual([]);
    expect(hangs(server)).toBe(2);
  });

  test("an alarm that hangs is held after the second time, restarts included, and others fire", async () => {
    const objects = (body: string, metadata: Upload["metadata"] = {}) =>
      worker(
        `import { DurableObject } from "cloudflare:workers";
        export class Clock extends DurableObject {
          async set() { await this.ctx.storage.setAlarm(Date.now() + 1); return "set"; }
          rang() { return this.ctx.storage.kv.get("rang") ? "rang" : "silent"; }
          async alarm() { ${body} await this.ctx.storage.put("rang", true); }
        }
        export default { async fetch(request, env) {
          const { pathname, searchParams } = new URL(request.url);
          const clock = env.CLOCKS.getByName(searchParams.get("name"));
          return new Response(pathname === "/set" ? await clock.set() : await clock.rang());
        } };`,
        {
          bindings: [{ type: "durable_object_namespace", name: "CLOCKS", class_name: "Clock" }],
          ...metadata,
        },
      );
    let server = await own({ args });
    const migrations = { new_tag: "v1", steps: [{ new_sqlite_classes: ["Clock"] }] };
    await deploy(server, "watch", objects('if (this.ctx.id.name === "bad") for (;;);', { migrations }));
    await ask(server, "watch", "/set?name=bad");
    await waitUntil(() => hangs(server) === 1);
    // It rings at the next start too.
    await server.kill();
    server = await own({ args, like: server });
    expect(await heldOf(server, "watch")).toMatchObject([
      { kind: "alarm", what: expect.stringMatching(/^Clock\/[0-9a-f]{64}$/) },
    ]);
    await waitUntil(async () => (await ask(server, "watch", "/set?name=good")) === "set");
    await waitUntil(async () => (await ask(server, "watch", "/?name=good")) === "rang");
    const seen = hangs(server);
    await server.stop();
    server = await own({ args, like: server });
    await waitUntil(async () => (await ask(server, "watch", "/?name=good")) === "rang");
    expect([seen + 1, hangs(server)]).toEqual([2, 0]);
    await deploy(server, "watch", objects(""));
    await waitUntil(async () => (await ask(server, "watch", "/?name=bad")) === "rang");
  });
});

test("a cron that hangs is held after the second time, until an operator says so", async () => {
  const time = Date.parse("2028-01-01T00:00:00Z");
  /** At this hour of the day: what became due since the last start runs at once. */
  const at = (hour: number) => `--clock-offset=${(time + hour * 3_600_000 - Date.now()) / 1000}`;
  const runs = async (server: Server) =>
    (await call(server, "GET", "/workers/scripts/hourly/schedules/runs")).result.map(
      ({ outcome }: { outcome: string }) => outcome,
    );
  let server = await own({ args: [at(-0.9)] });
  await deploy(server, "hourly", worker("export default { fetch() {}, scheduled() { for (;;); } };"));
  await call(server, "PUT", "/workers/scripts/hourly/schedules", [{ cron: "0 * * * *" }]);
  for (const hour of [0, 1]) {
    await server.stop();
    server = await own({ args: [...HANG, at(hour)], like: server });
    await waitUntil(async () => {
      // Whoever asks for its runs tells the Worker's triggers that the clock has moved.
      await runs(server);
      return hangs(server) === 1;
    });
  }
  await server.stop();
  server = await own({ args: [...HANG, at(2)], like: server });
  await runs(server);
  expect(await heldOf(server, "hourly")).toMatchObject([{ kind: "cron", what: "0 * * * *" }]);
  expect(await runs(server)).toEqual(["held", "unknown", "unknown"]);
  const run = await runSluice(["release", "hourly", "--data-dir", server.dataDir], {
    SLUICE_API_TOKEN: "token-for-the-tests",
  });
  expect([run.code, run.stdout]).toEqual([0, "Everything of hourly can run again.\n"]);
  expect((await call(server, "GET", "/workers/scripts/hourly/quarantine")).result.events).toEqual([]);
  expect(hangs(server)).toBe(0);
});
