/** A candidate that does harm: who notices, for how long, and what becomes of it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  call,
  createDeployment,
  deploy,
  readEnvelope,
  type Upload,
  uploadForm,
  uploadVersion,
} from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { deploymentsOf, keys, logged, runSluice } from "../helpers.ts";

const KEY = "Cloudflare-Workers-Version-Key";

const GOOD: Upload = {
  modules: { "index.js": { content: 'export default { fetch: () => new Response("good") };' } },
};

/** Answers "bad", and does what its path says. */
const HARMFUL: Upload = {
  modules: {
    "index.js": {
      content: `const held = [];
export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/loop") for (;;);
  if (pathname === "/regexp") return new Response(/^(a+)+$/.test("a".repeat(40) + "b") ? "" : "no match");
  if (pathname === "/memory") for (;;) held.push(new Uint8Array(16 * 1024 * 1024).fill(1));
  if (pathname === "/grow") for (;;) { held.push(new Uint8Array(8 * 1024 * 1024).fill(1)); await scheduler.wait(1); }
  if (pathname === "/deep") { const down = () => down() + 1; try { down(); } catch { return new Response("caught"); } }
  if (pathname === "/never") await new Promise(() => {});
  if (pathname === "/broken") return new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(9)); c.error(new Error("broken")); } }));
  return new Response("bad");
} };`,
    },
  },
};

let server: Server;
beforeAll(async () => {
  server = await startServer({ args: ["--memory-limit", "512", "--hang-timeout", "2"] });
  await deploy(server, "neighbour", GOOD);
});
afterAll(() => disposeServer(server));

/** Both versions of a Worker at 50/50, and keys of each. */
async function split(worker: string) {
  const stable = await deploy(server, worker, GOOD);
  const candidate = await uploadVersion(server, worker, HARMFUL);
  const shares: [string, number][] = [
    [stable, 50],
    [candidate, 50],
  ];
  expect((await createDeployment(server, worker, shares)).errors).toEqual([]);
  // The stable version serves while the process that the test before has ended is started again.
  const override = { "Cloudflare-Workers-Version-Overrides": `${worker}="${candidate}"` };
  await waitUntil(async () => (await server.traffic(worker, { headers: override })).body === "bad");
  const of = { good: [] as string[], bad: [] as string[] };
  for (const key of keys(30)) {
    const { body } = await server.traffic(worker, { headers: { [KEY]: key } });
    of[body as "good" | "bad"].push(key);
  }
  return { stable, candidate, shares, good: of.good, bad: of.bad };
}

const harm = (worker: string, path: string, key = "") =>
  server.traffic(worker, { path, headers: { [KEY]: key } }).catch((error: Error) => ({
    status: 0,
    body: error.message,
  }));

/** Requests to a Worker until `end`. Collects all statuses and bodies. */
async function watch(worker: string, key: string, end: Promise<unknown>): Promise<Set<string>> {
  const seen = new Set<string>();
  let done = false;
  void end.then(() => {
    done = true;
  });
  while (!done) {
    const { status, body } = await server.traffic(worker, { headers: { [KEY]: key } });
    seen.add(`${status} ${body}`);
  }
  return seen;
}

const hangs = () => logged(server, "process-hangs").length;

describe("a candidate in an endless loop", () => {
  test("harms neither its stable version nor another Worker nor the API, and its process is started again", async () => {
    const { good, bad } = await split("loop");
    const before = hangs();
    const looping = harm("loop", "/loop", bad[0]);
    const seen = await Promise.all([
      watch("loop", good[0] as string, looping),
      watch("neighbour", "any", looping),
      (async () => {
        const reply = await call(server, "GET", "/workers/scripts/loop/deployments");
        return new Set([`${reply.status} ${reply.result.deployments.length > 0 ? "good" : ""}`]);
      })(),
    ]);
    expect(seen).toEqual(seen.map(() => new Set(["200 good"])));
    // It was sent once, and nobody sends it again.
    expect((await looping).status).toBe(503);
    expect(hangs()).toBe(before + 1);
    await waitUntil(async () => (await harm("loop", "/", bad[0])).body === "bad");
  });

  test("is taken back when it does so twice, and not deployed again until an operator says so", async () => {
    const { stable, candidate, shares, bad } = await split("twice");
    for (let i = 0; i < 2; i++) {
      await waitUntil(async () => (await harm("twice", "/", bad[0])).body === "bad");
      expect((await harm("twice", "/loop", bad[0])).status).toBe(503);
    }
    await waitUntil(async () => {
      const [active] = await deploymentsOf(server, "twice");
      return active.versions.length === 1;
    });
    const [active] = await deploymentsOf(server, "twice");
    expect(active.versions).toEqual([{ version_id: stable, percentage: 100 }]);
    expect(active.annotations["workers/message"]).toContain("taken back");
    for (const key of bad) expect((await harm("twice", "/loop", key)).body).toBe("good");

    const refused = await createDeployment(server, "twice", shares);
    expect([refused.status, refused.errors[0]?.message]).toEqual([
      409,
      expect.stringContaining("sluice release"),
    ]);
    const run = await runSluice(["release", "twice", candidate, "--data-dir", server.dataDir], {
      SLUICE_API_TOKEN: "token-for-the-tests",
    });
    expect([run.code, run.stderr]).toEqual([0, ""]);
    expect((await createDeployment(server, "twice", shares)).errors).toEqual([]);
  });
});

test.each(["/regexp", "/memory", "/grow"])(
  "a candidate that does %s harms nobody but its own requests",
  async (path) => {
    const worker = path.slice(1);
    const { good, bad } = await split(worker);
    const harming = harm(worker, path, bad[0]);
    const seen = await Promise.all([
      watch(worker, good[0] as string, harming),
      watch("neighbour", "any", harming),
    ]);
    expect(seen).toEqual(seen.map(() => new Set(["200 good"])));
    expect([500, 503]).toContain((await harming).status);
    await waitUntil(async () => (await harm(worker, "/", bad[0])).body === "bad");
  },
);

test("a candidate that recurses, never answers or breaks its body off harms nobody and ends no process", async () => {
  const { good, bad } = await split("gentle");
  const ended = logged(server, "process-ended").length;
  expect((await harm("gentle", "/deep", bad[0])).body).toBe("caught");
  void harm("gentle", "/never", bad[0]);
  expect((await harm("gentle", "/broken", bad[0])).body).not.toBe("good");
  expect((await harm("gentle", "/", bad[0])).body).toBe("bad");
  expect((await harm("gentle", "/", good[0])).body).toBe("good");
  expect(logged(server, "process-ended").length).toBe(ended);
});

test("an upload that loops only where it has bindings is refused before it runs anywhere", async () => {
  const before = hangs();
  const reply = await readEnvelope(
    await server.api("PUT", "/workers/scripts/careful", {
      body: uploadForm({
        modules: {
          "index.js": {
            content: `import { env } from "cloudflare:workers";
if (env.NEIGHBOUR !== undefined) for (;;);
export default { fetch: () => new Response("good") };`,
          },
        },
        metadata: { bindings: [{ type: "service", name: "NEIGHBOUR", service: "neighbour" }] },
      }),
    }),
  );
  expect([reply.success, reply.errors[0]?.message]).toEqual([false, expect.stringMatching(/startup/i)]);
  expect(hangs()).toBe(before);
});

describe("the code of a version cannot reach what Sluice adds to it:", () => {
  const put = async (worker: string, content: string, metadata = {}) =>
    readEnvelope(
      await server.api("PUT", `/workers/scripts/${worker}`, {
        body: uploadForm({ modules: { "index.js": { content } }, metadata }),
      }),
    );

  test("an export with one of its names is refused, and so is a binding to one", async () => {
    const exported = await put(
      "forging",
      "export default { fetch() {} }; export const __sluice__ = { fetch: () => new Response() };",
    );
    expect([exported.success, exported.errors[0]?.message]).toEqual([
      false,
      expect.stringContaining("__sluice__"),
    ]);
    const bindings = [{ type: "service", name: "N", service: "neighbour", entrypoint: "__sluice_queue__" }];
    const bound = await put("forging", "export default { fetch() {} };", { bindings });
    expect([bound.success, bound.errors[0]?.message]).toEqual([false, expect.stringContaining("__sluice")]);
  });

  test("a version that replaces timers, promises and requests is unloaded all the same", async () => {
    const clinging = await deploy(server, "clinging", {
      modules: {
        "index.js": {
          content: `globalThis.setTimeout = () => {};
globalThis.Promise = class { then() {} };
globalThis.Response = Response;
Object.defineProperty(Request.prototype, "url", { get: () => "http://elsewhere/" });
export default { fetch: () => new Response("clinging") };`,
        },
      },
    });
    expect((await server.traffic("clinging")).body).toBe("clinging");
    await deploy(server, "clinging", GOOD);
    await waitUntil(() => logged(server, "version-unloaded").some(({ version }) => version === clinging));
  });
});
