/** What must be so before a rollout begins: smoke requests and freeze windows, against real candidates. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, deploy, type Reply, type Upload, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../support/server.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

const code = (body: string): Upload => ({
  modules: { "index.js": { content: `export default { async fetch(request) { ${body} } };` } },
});
const CANDIDATE = code(`
  const { pathname } = new URL(request.url);
  if (pathname === "/health") return new Response("fine");
  if (pathname === "/order" && request.method === "POST") return new Response("made", { status: 201 });
  if (pathname === "/old") return Response.redirect("https://example.com/new", 301);
  if (pathname === "/throws") throw new Error("no database");
  if (pathname === "/slow") await new Promise((resolve) => setTimeout(resolve, 60_000));
  return new Response("no such page", { status: 404 });`);
const path = (worker: string) => `/workers/scripts/${worker}/rollouts`;

async function start(worker: string, candidate: Upload, plan: object, at = server): Promise<Reply> {
  await deploy(at, worker, answering("stable"));
  const version_id = await uploadVersion(at, worker, candidate);
  return call(at, "POST", path(worker), { version_id, stages: [{ percentage: 50 }], ...plan });
}

/** That nothing was deployed, and no rollout is stored. */
async function expectUntouched(worker: string, at = server): Promise<void> {
  expect((await call(at, "GET", path(worker))).result).toEqual([]);
  const { result } = await call(at, "GET", `/workers/scripts/${worker}/deployments`);
  expect(result.deployments).toHaveLength(1);
  expect((await at.traffic(worker)).body).toBe("stable");
}

describe("smoke requests", () => {
  test("that are answered as the plan wants let the rollout begin", async () => {
    const smoke = [
      { path: "/health" },
      { path: "/order", method: "POST", status: 201 },
      { path: "/old" },
      { path: "/nothing", status: 404 },
    ];
    const { errors, result } = await start("answers", CANDIDATE, { smoke });
    expect(errors).toEqual([]);
    expect(result).toMatchObject({ phase: "running", stage: 0 });
  });

  test.concurrent.each([
    ["a status of 400 or above", "nothing", { path: "/nothing" }, "answered with 404"],
    ["another status than the plan's", "other", { path: "/health", status: 204 }, "answered with 200"],
    ["an exception", "throws", { path: "/throws" }, "no database"],
    ["silence", "slow", { path: "/slow" }, "did not answer within 10 s"],
  ])("that are answered with %s refuse it, and nothing changes", async (_, worker, request, why) => {
    const { status, errors } = await start(worker, CANDIDATE, { smoke: [{ path: "/health" }, request] });
    expect(status).toBe(409);
    expect(errors[0]?.message).toContain(`"GET ${request.path}"`);
    expect(errors[0]?.message).toContain(why);
    await expectUntouched(worker);
  });

  test("go to the candidate where candidates run apart, and refuse one that ends its process", async () => {
    const apart = await useServer({ args: ["--processes", "1"] });
    const smoke = [{ path: "/health" }];
    const { errors } = await start("lives", CANDIDATE, { smoke }, apart);
    expect(errors).toEqual([]);
    const hungry = code("const kept = []; for (;;) kept.push(new Uint8Array(100_000_000).fill(1));");
    const { status } = await start("dies", hungry, { smoke }, apart);
    expect(status).toBe(409);
    await expectUntouched("dies", apart);
  });
});

describe("a freeze window", () => {
  test("that is open refuses the rollout, and says when it ends", async () => {
    const freeze = [{ cron: "* * * * *", hours: 5, timezone: "Europe/Berlin" }];
    const { status, errors } = await start("frozen", CANDIDATE, { freeze });
    expect(status).toBe(400);
    const until = /no stage begins before (\S+Z)/.exec(errors[0]?.message ?? "")?.[1] ?? "";
    expect(Date.parse(until)).toBeGreaterThan(Date.now() + 4 * 3_600_000);
    await expectUntouched("frozen");
  });

  test("that is not open does not", async () => {
    const month = ((new Date().getUTCMonth() + 5) % 12) + 1;
    const { errors } = await start("thawed", CANDIDATE, {
      freeze: [{ cron: `0 0 1 ${month} *`, hours: 24 }],
    });
    expect(errors).toEqual([]);
  });
});

describe("the thresholds of the latency gate", () => {
  test("are known from the start where the stable version has answered often enough", async () => {
    await deploy(server, "busy", answering("stable"));
    for (let sent = 0; sent < 1_000; sent += 50) {
      await Promise.all(Array.from({ length: 50 }, () => server.traffic("busy")));
    }
    await waitUntil(async () => {
      const { result } = await call(server, "GET", "/workers/scripts/busy/metrics");
      return result.total.requests >= 1_000;
    });
    const version_id = await uploadVersion(server, "busy", CANDIDATE);
    const plan = { version_id, stages: [{ percentage: 50 }] };
    const { slow_ms } = (await call(server, "POST", path("busy"), plan)).result;
    expect(slow_ms).toHaveLength(5);
    expect(slow_ms).toEqual([...slow_ms].sort((x: number, y: number) => x - y));
  });

  test("are taken from the first clients where it has not", async () => {
    expect((await start("idle", CANDIDATE, {})).result.slow_ms).toBeNull();
  });
});
