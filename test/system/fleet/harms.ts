/** The harms that a version can do, and what others notice meanwhile. Each place where versions run has a file of its own. */
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { answering, call, deploy, type Upload } from "../../support/client.ts";
import { type Server, series, startServer, waitUntil } from "../../support/server.ts";
import { logged } from "../helpers.ts";

/** By name: whether it ends the process that it runs in, and what the caller gets if it does not. */
export const HARMS = {
  loop: { ends: true },
  regexp: { ends: true },
  memory: { ends: true },
  deep: { ends: false },
  never: { ends: false },
  late: { ends: false },
  broken: { ends: false },
  timers: { ends: false },
  subrequests: { ends: false },
} as const;

export type Harm = keyof typeof HARMS;
/** Usually one that ends its process, and one that does not. */
export const TRIED = series<readonly Harm[]>({ full: Object.keys(HARMS) as Harm[], usual: ["loop", "deep"] });

/** Does one harm by its name. The places differ in who calls it. */
const HARMS_MODULE = `const held = [];
const broken = () => new ReadableStream({ start(c) { c.enqueue(new Uint8Array(9)); }, pull(c) { c.error(new Error("broken")); } });
export async function harm(name, env, ctx) {
  if (name === "loop") for (;;);
  if (name === "regexp") /^(a+)+$/.test("a".repeat(50) + "b");
  if (name === "memory") for (;;) { held.push(new Uint8Array(16 * 1024 * 1024).fill(1)); await scheduler.wait(1); }
  if (name === "deep") { const down = () => down() + 1; down(); }
  if (name === "never") await scheduler.wait(1e8);
  if (name === "late") {
    ctx.waitUntil(scheduler.wait(10).then(() => { throw new Error("late"); }));
    setTimeout(() => { throw new Error("later"); }, 5);
    void Promise.reject(new Error("nobody waits"));
  }
  if (name === "broken") return broken();
  if (name === "timers") {
    for (let i = 0; i < 5_000; i++) setTimeout(() => held.push(i), 1e8);
    setInterval(() => held.push(0), 1);
  }
  if (name === "subrequests") await Promise.all(Array.from({ length: 1_000 }, () => env.NEIGHBOUR.fetch("http://neighbour/").then((each) => each.text())));
  return "did it";
}`;

const MAIN = `import { DurableObject } from "cloudflare:workers";
import { harm } from "./harms.js";
export class Harmed extends DurableObject {
  async harm(name) {
    const done = await harm(name, this.env, this.ctx);
    return typeof done === "string" ? done : new Response(done).text();
  }
}
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    const [, how, name] = pathname.split("/");
    if (how === "harm") return new Response(await harm(name, env, ctx));
    if (how === "object") return new Response(await env.HARMED.getByName(name ?? "").harm(name));
    if (how === "send") return new Response(await env.QUEUE.send(name).then(() => "sent"));
    if (how === "noted") return new Response(await env.KV.get(name));
    return new Response("fine");
  },
  async queue({ messages: [message] }, env, ctx) {
    await env.KV.put(message.body, "delivered " + message.attempts);
    // Once: what becomes of one that always does it is in the tests of queues.
    const done = message.attempts === 1 ? await harm(message.body, env, ctx) : "";
    if (typeof done !== "string") await new Response(done).text();
    await env.KV.put(message.body, "taken");
  },
  async scheduled({ cron }, env, ctx) {
    const done = await harm(env.CRONS[cron], env, ctx);
    if (typeof done !== "string") await new Response(done).text();
  },
};`;

const NEIGHBOUR = { type: "service", name: "NEIGHBOUR", service: "neighbour" };

/** A version that does the harms in requests, and answers "fine" otherwise. */
export const HARMFUL: Upload = {
  modules: { "index.js": { content: MAIN }, "harms.js": { content: HARMS_MODULE } },
  metadata: { bindings: [NEIGHBOUR] },
};

/** The same with what it needs to do them elsewhere. */
export const harmful = (more: readonly object[] = []): Upload => ({
  ...HARMFUL,
  metadata: {
    bindings: [
      NEIGHBOUR,
      { type: "durable_object_namespace", name: "HARMED", class_name: "Harmed" },
      { type: "kv_namespace", name: "KV", namespace_id: "44444444444444444444444444444444" },
      ...more,
    ],
    migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Harmed"] }] },
  },
});

const COUNTING: Upload = {
  modules: {
    "index.js": {
      content: `import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject { say() { return "good"; } }
export default { fetch: async (request, env) => new Response(await env.ROOM.getByName("a").say()) };`,
    },
  },
  metadata: {
    bindings: [{ type: "durable_object_namespace", name: "ROOM", class_name: "Room" }],
    migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] },
  },
};

export const SERVER_ARGS = ["--memory-limit", "512", "--hang-timeout", "2"];

/** A server with two Workers that do no harm: `neighbour`, and `objects`, which answers by a Durable Object. */
export async function startWatched(): Promise<Server> {
  const server = await startServer({ args: SERVER_ARGS });
  await deploy(server, "neighbour", answering("good"));
  await deploy(server, "objects", COUNTING);
  return server;
}

interface Answered {
  /** 0 if the connection broke, or nothing came in time. */
  readonly status: number;
  readonly body: string;
}

/** A request on a connection of its own, which is given up after `limitMs`. Never rejects. */
export function ask(
  server: Server,
  worker: string,
  path: string,
  { headers = {}, limitMs = 15_000 }: { headers?: Record<string, string>; limitMs?: number } = {},
): Promise<Answered> {
  const { promise, resolve } = Promise.withResolvers<Answered>();
  const signal = AbortSignal.timeout(limitMs);
  const outgoing = request(
    {
      host: "127.0.0.1",
      port: server.trafficPort,
      path,
      headers: { ...headers, Host: `${worker}.localhost` },
      agent: false,
      signal,
    },
    (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("error", (error) => resolve({ status: 0, body: error.message }));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    },
  );
  outgoing.on("error", (error) => resolve({ status: 0, body: signal.aborted ? "no answer" : error.message }));
  outgoing.end();
  return promise;
}

/** What others noticed. Times in ms. */
export interface Noticed {
  /** The longest that a call of the API took. A failed call counts as Infinity. */
  readonly api: number;
  /** The longest times without an answer of each neighbour. */
  readonly neighbour: number;
  readonly objects: number;
  /** The longest that this test's own timers were late: what the machine adds to all of these. */
  readonly lag: number;
}

const PAUSE_MS = 100;

/** Asks the API and the neighbours until `end`. */
export async function watch(server: Server, end: Promise<unknown>): Promise<Noticed> {
  let isOver = false;
  void end.finally(() => {
    isOver = true;
  });
  const each = async (turn: () => Promise<void>) => {
    while (!isOver) {
      await turn();
      await sleep(PAUSE_MS);
    }
  };
  const found = { api: 0, neighbour: 0, objects: 0, lag: 0 };
  const silence = (worker: "neighbour" | "objects") => {
    let heardAt = performance.now();
    return async () => {
      const { body } = await ask(server, worker, "/", { limitMs: 5_000 });
      found[worker] = Math.max(found[worker], performance.now() - heardAt);
      if (body === "good") heardAt = performance.now();
    };
  };
  await Promise.all([
    each(async () => {
      const started = performance.now();
      const isAnswered = await call(server, "GET", "/workers/scripts/neighbour/deployments").then(
        ({ success }) => success,
        () => false,
      );
      found.api = isAnswered ? Math.max(found.api, performance.now() - started) : Infinity;
    }),
    each(silence("neighbour")),
    each(silence("objects")),
    each(async () => {
      const started = performance.now();
      await sleep(10);
      found.lag = Math.max(found.lag, performance.now() - started - 10);
    }),
  ]);
  return found;
}

const ENDS = ["process-hangs", "process-too-large", "process-ended"] as const;

/** What the log says of ends of processes since a time in ISO 8601: one end may be told twice. */
const endsSince = (server: Server, since: string) =>
  ENDS.flatMap((event) => logged(server, event)).filter(({ time }) => String(time) >= since);

/** Waits for the end of a process: the log has it a moment after the requests that it broke. */
export async function expectEnds(server: Server, since: string, process: string | undefined): Promise<void> {
  if (process !== undefined) await waitUntil(() => endsSince(server, since).length > 0, 10_000);
  const names = new Set(endsSince(server, since).map((entry) => entry.process));
  expect(names).toEqual(new Set(process === undefined ? [] : [process]));
}

/** From when a process hangs until the watchdog ends it, and from then until the next one serves, in ms. */
const HANG_MS = 2_250;
const RESTART_MS = 1_500;
/**
 * How long a process may be out. The watchdog counts processor time, so where the machine is busy both take longer: by as
 * much as the log says that the process was silent.
 */
const outMs = (server: Server, since: string) => {
  const silent = endsSince(server, since).map(({ silent_ms = 0 }) => Number(silent_ms));
  const noticed = Math.max(HANG_MS, ...silent);
  return noticed + RESTART_MS * (noticed / HANG_MS);
};
const API_MS = 1_000;
/** The same while a thousand subrequests are started: they take a second of a processor, on a busy machine several. */
const BUSY_MS = 5_000;

/**
 * Checks that nobody was hurt but those who share the process, and these for one restart.
 *
 * @param out who shares it
 * @param since when the harm began, in ISO 8601
 */
export function expectSpared(
  cell: string,
  noticed: Noticed,
  out: readonly ("neighbour" | "objects")[],
  { server, since }: { readonly server: Server; readonly since: string },
): void {
  if (process.env.SLUICE_TEST_MEASURE === "1") console.log("measured", cell, JSON.stringify(noticed));
  // A busy machine is late for everybody, and many times in the course of one request.
  const late = 250 + 20 * noticed.lag;
  const usual = cell.includes("subrequests") ? BUSY_MS : API_MS;
  const limits = { api: usual, neighbour: usual, objects: usual };
  for (const who of out) limits[who] = Math.max(outMs(server, since) + PAUSE_MS, usual);
  expect(noticed.api, cell).toBeLessThan(Infinity);
  // Other tests run beside this one, unless all of the series is measured.
  if (!series({ full: true, usual: false })) return;
  for (const [who, limit] of Object.entries(limits)) {
    const ms = noticed[who as keyof typeof limits];
    expect(ms, `${cell}: ${who} was out for ${Math.round(ms)} ms`).toBeLessThan(limit + late);
  }
}

/** Without anybody's help: both neighbours and the Worker itself answer as before. */
export async function expectRecovered(
  server: Server,
  worker: string,
  headers: Record<string, string> = {},
): Promise<void> {
  for (const [name, body] of [
    ["neighbour", "good"],
    ["objects", "good"],
    [worker, "fine"],
  ] as const) {
    await waitUntil(async () => (await ask(server, name, "/", { headers })).body === body, 30_000);
  }
}
