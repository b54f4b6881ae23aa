/** What counts as a failure in a rollout, and what must not: each with real versions, processes and traffic. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, deploy, type Reply, type Upload, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../support/server.ts";
import { damageCode } from "../support/stored.ts";
import { Crowd } from "./crowd.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

const KEY = "request.headers.get('Cloudflare-Workers-Version-Key')";
const code = (body: string, before = ""): Upload => ({
  modules: { "index.js": { content: `${before}\nexport default { async fetch(request) { ${body} } };` } },
});
const HEALTHY = code("return new Response('stable');");
const path = (worker: string, rest = "") => `/workers/scripts/${worker}/rollouts${rest}`;
const LONG = [{ percentage: 20, soak_seconds: 600 }];

async function begin(
  worker: string,
  versions: readonly [stable: Upload, candidate: Upload],
  plan: object,
  at = server,
): Promise<string> {
  await deploy(at, worker, versions[0]);
  const version_id = await uploadVersion(at, worker, versions[1]);
  const { result, errors } = await call(at, "POST", path(worker), { version_id, stages: LONG, ...plan });
  expect(errors).toEqual([]);
  return result.id;
}

const look = async (worker: string, id: string, at = server): Promise<Reply["result"]> =>
  (await call(at, "GET", path(worker, `/${id}`))).result;

async function end(worker: string, id: string, at = server): Promise<Reply["result"]> {
  await waitUntil(async () => (await look(worker, id, at)).ended_on !== null, 120_000);
  return look(worker, id, at);
}

async function outcome(worker: string, id: string, crowd: Crowd): Promise<Reply["result"]> {
  try {
    return await end(worker, id);
  } finally {
    await crowd.leave();
  }
}

/** Fails the n-th request of each client, and every one after it. */
const fromThe = (n: number) =>
  code(
    `const key = ${KEY}; const count = (counts.get(key) ?? 0) + 1; counts.set(key, count);
     return count < ${n} ? new Response('candidate') : new Response('no', { status: 500 });`,
    "const counts = new Map();",
  );

describe("a candidate is rolled back", () => {
  test.each([
    ["that fails from the fifth request of its clients on", "fifth", fromThe(5), { users: 120 }, {}],
    [
      "that fails to answer POST",
      "posts",
      code("return new Response('candidate', { status: request.method === 'POST' ? 500 : 200 });"),
      { users: 200, method: "POST" },
      {},
    ],
    [
      "that answers some clients with a status that the plan names",
      "limits",
      code(`return new Response('candidate', { status: /[05]$/.test(${KEY}) ? 429 : 200 });`),
      {},
      { gates: { failures: { statuses: [429] } } },
    ],
    [
      "that says of its answers that they are bad",
      "outcomes",
      code("return new Response('candidate', { headers: { 'Sluice-Outcome': 'bad' } });"),
      {},
      {},
    ],
    [
      "that hangs for some clients",
      "hangs",
      code(`if (/[05]$/.test(${KEY})) await new Promise(() => {}); return new Response('candidate');`),
      { patienceMs: 4_000, lanes: 12 },
      { gates: { failures: { timeout_seconds: 2 }, latency: false } },
    ],
    [
      "whose bodies break off for some clients",
      "bodies",
      code(`let sent = 0; return new Response(new ReadableStream({ pull(c) {
        if (sent++ === 0) c.enqueue(new TextEncoder().encode('candidate'));
        else if (/[0-4]$/.test(${KEY})) c.error(new Error('broken')); else c.close();
      } }));`),
      {},
      {},
    ],
    [
      "whose bodies stop in the middle for some clients",
      "stalls",
      code(`let sent = 0; return new Response(new ReadableStream({ async pull(c) {
        if (sent++ === 0) c.enqueue(new TextEncoder().encode('candidate'));
        else if (/[05]$/.test(${KEY})) await new Promise(() => {}); else c.close();
      } }));`),
      { patienceMs: 4_000, lanes: 12 },
      { gates: { failures: { timeout_seconds: 2 }, latency: false } },
    ],
  ] as const)("%s", async (_, worker, candidate, crowd, plan) => {
    const id = await begin(worker, [HEALTHY, candidate], plan);
    const ended = await outcome(worker, id, new Crowd(server, worker, crowd));
    expect([ended.phase, ended.reason]).toEqual([
      "rolled_back",
      expect.stringContaining("the candidate fails"),
    ]);
    expect(ended.users_harmed).toBeGreaterThan(0);
  });

  test("that cannot be loaded any more, so that the stable version answers in its stead", async () => {
    const own = await useServer();
    const id = await begin("gone", [HEALTHY, code("return new Response('candidate');")], {}, own);
    const { candidate_version_id } = await look("gone", id, own);
    await own.stop();
    damageCode(own, candidate_version_id);
    const again = await startServer({ like: own });
    try {
      const crowd = new Crowd(again, "gone");
      const ended = await end("gone", id, again);
      await crowd.leave();
      expect(ended.phase).toBe("rolled_back");
      expect(new Set(crowd.answers.map(({ body }) => body))).toEqual(new Set(["stable"]));
    } finally {
      await again.stop();
    }
  });
});

describe("a candidate is not rolled back", () => {
  const STAGES = [
    { percentage: 20, soak_seconds: 4, min_exposures: 30 },
    { percentage: 50, soak_seconds: 4, min_exposures: 30 },
  ];

  test.each([
    [
      "for the first answer to each client, which fails in every version that has just been loaded",
      "memo",
      code(
        `const key = ${KEY}; if (seen.has(key)) return new Response('ok'); seen.add(key);
         return new Response('not yet', { status: 503 });`,
        "const seen = new Set();",
      ),
      { users: 400 },
    ],
    [
      "for a cache that is cold in every version that has just been loaded",
      "cold",
      code(
        `const page = Number(${KEY}.slice(5)) % 40; if (cache.has(page)) return new Response('ok'); cache.add(page);
         await new Promise((resolve) => setTimeout(resolve, 60)); return new Response('slow');`,
        "const cache = new Set();",
      ),
      {},
    ],
  ] as const)("%s", async (_, worker, version, crowd) => {
    const id = await begin(worker, [version, version], { stages: STAGES });
    const ended = await outcome(worker, id, new Crowd(server, worker, crowd));
    expect([ended.phase, ended.reason]).toEqual(["promoted", "every stage passed"]);
  });

  test("for an outage of both versions right after a ramp, which only holds it", async () => {
    const both = code("return new Response('', { status: request.headers.has('outage') ? 500 : 200 });");
    const id = await begin("outage", [both, both], {
      stages: [STAGES[0], { percentage: 50, soak_seconds: 600 }],
    });
    const headers: Record<string, string> = {};
    const crowd = new Crowd(server, "outage", { headers });
    await waitUntil(async () => (await look("outage", id)).stage === 1);
    headers.outage = "yes";
    const before = crowd.answers.length;
    await waitUntil(() => crowd.answers.length > before + 1_500);
    await crowd.leave();
    const { phase, gates } = await look("outage", id);
    expect(["running", "holding"]).toContain(phase);
    expect(gates.errors.e_value).toBeLessThan(gates.errors.threshold);
  });

  test("for clients who go away, and goes through its stages with regular users alone", async () => {
    const slow = code("await new Promise((resolve) => setTimeout(resolve, 50)); return new Response('ok');");
    const id = await begin("regular", [slow, slow], { stages: STAGES });
    const leaving = new Crowd(server, "regular", { users: 150, patienceMs: 20 });
    const ended = await outcome("regular", id, new Crowd(server, "regular", { users: 150, lanes: 8 }));
    await leaving.leave();
    expect(ended.phase).toBe("promoted");
    expect(ended.users_harmed).toBe(0);
  });
});

describe("a plan", () => {
  test("with a cohort begins with it alone", async () => {
    const plan = {
      cohort: { type: "header", name: "x-team", value: "edge" },
      stages: [
        { percentage: 0, soak_seconds: 2, min_exposures: 1 },
        { percentage: 50, soak_seconds: 600 },
      ],
    };
    const id = await begin("cohort", [HEALTHY, code("return new Response('candidate');")], plan);
    const others = new Crowd(server, "cohort");
    await waitUntil(() => others.answers.length > 300);
    expect(new Set(others.answers.map(({ body }) => body))).toEqual(new Set(["stable"]));
    const team = new Crowd(server, "cohort", { users: 5, headers: { "x-team": "edge" } });
    await waitUntil(async () => (await look("cohort", id)).stage === 1);
    await waitUntil(() => others.answers.some(({ body }) => body === "candidate"));
    await Promise.all([others.leave(), team.leave()]);
    expect(new Set(team.answers.map(({ body }) => body))).toEqual(new Set(["candidate"]));
  });

  test("that soaks at 100% takes a candidate back that fails only then", async () => {
    const failing = code("return new Response('', { status: request.headers.has('late') ? 500 : 200 });");
    const stages = [
      { percentage: 50, soak_seconds: 2, min_exposures: 300 },
      { percentage: 100, soak_seconds: 600 },
    ];
    const id = await begin("bake", [HEALTHY, failing], { stages, gates: { latency: false } });
    const headers: Record<string, string> = {};
    const crowd = new Crowd(server, "bake", { headers });
    await waitUntil(async () => (await look("bake", id)).stage === 1);
    const { result } = await call(server, "GET", "/workers/scripts/bake/deployments");
    expect(
      result.deployments[0].versions.map(({ percentage }: { percentage: number }) => percentage),
    ).toEqual([0, 100]);
    headers.late = "yes";
    const ended = await outcome("bake", id, crowd);
    expect(ended.phase).toBe("rolled_back");
    const seen = ended.trail.map(({ to }: { to: { stage: number } }) => to.stage);
    // It may have held in the first one until enough clients had come.
    expect(seen.join("").replace(/^0+/, "0")).toBe("0100");
  });

  test("with a smoke request that fails begins nothing", async () => {
    await deploy(server, "smoke", HEALTHY);
    const candidate = await uploadVersion(
      server,
      "smoke",
      code("return new Response('', { status: new URL(request.url).pathname === '/health' ? 500 : 200 });"),
    );
    const smoke = [{ path: "/" }, { path: "/health", status: 200 }];
    const refused = await call(server, "POST", path("smoke"), { version_id: candidate, smoke });
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(refused.errors[0]?.message).toMatch(/\/health.*500/);
    expect((await call(server, "GET", path("smoke"))).result).toEqual([]);
    const good = await call(server, "POST", path("smoke"), { version_id: candidate, smoke: [{ path: "/" }] });
    expect(good.result.phase).toBe("running");
  });
});
