/** `ratelimit` and `analytics_engine`. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDeployment, deploy, PROCESSES, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../../support/server.ts";
import { keys } from "../helpers.ts";
import { runBoth } from "./compare.ts";

describe.each(PROCESSES)("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("a rate limit answers as it answers a plain Worker, errors included", async () => {
    const simple = { limit: 3, period: 60 };
    const { plain, sluice } = await runBoth(server, "limited", {
      miniflare: { ratelimits: { LIMITER: { namespace_id: "1001", simple } } },
      metadata: { bindings: [{ type: "ratelimit", name: "LIMITER", namespace_id: "1001", simple }] },
      body: `
const { LIMITER } = env;
await record("one", () => LIMITER.limit({ key: "a" }));
await record("empty", () => LIMITER.limit({ key: "" }));
await record("nothing", () => LIMITER.limit());
await record("no key", () => LIMITER.limit({}));
await record("a number", () => LIMITER.limit({ key: 5 }));
await record("more", () => LIMITER.limit({ key: "a", cost: 1 }));
await record("name", () => LIMITER.constructor.name);`,
    });
    expect(sluice).toEqual(plain);
  });

  test("a rate limit is one for all versions and Workers that name its namespace", async () => {
    const limited = {
      modules: {
        "index.js": {
          content: `export default { fetch: async (request, env) => new Response(String((await env.LIMITER.limit({ key: "all" })).success)) };`,
        },
      },
      metadata: {
        bindings: [
          { type: "ratelimit", name: "LIMITER", namespace_id: "2002", simple: { limit: 5, period: 60 } },
        ],
      },
    };
    const one = await deploy(server, "limited-one", limited);
    const two = await uploadVersion(server, "limited-one", limited);
    await createDeployment(server, "limited-one", [
      [one, 50],
      [two, 50],
    ]);
    await deploy(server, "limited-two", limited);
    // A minute may end in between, and then it begins anew: twice the limit at most.
    const answers = await Promise.all(
      keys(30).map(async (_, i) => (await server.traffic(`limited-${i % 2 === 0 ? "one" : "two"}`)).body),
    );
    const passed = answers.filter((answer) => answer === "true").length;
    expect([5, 10]).toContain(passed);
  });

  test("data points can be read by SQL, and any other statement changes nothing", async () => {
    await deploy(server, "points", {
      modules: {
        "index.js": {
          content: `export default { fetch(request, env) {
  const path = new URL(request.url).pathname;
  env.EVENTS.writeDataPoint({ indexes: ["user"], blobs: [path, null], doubles: [1.5, 2] });
  try { env.EVENTS.writeDataPoint({ blobs: Array(21).fill("x") }); } catch (error) { return new Response(error.message); }
} };`,
        },
      },
      metadata: { bindings: [{ type: "analytics_engine", name: "EVENTS", dataset: "events" }] },
    });
    for (const path of ["/a", "/a", "/b"]) {
      expect((await server.traffic("points", { path })).body).toBe(
        "writeDataPoint(): Maximum of 20 blobs supported.",
      );
    }
    const query = async (sql: string) => {
      const response = await server.api("POST", "/analytics_engine/sql", { body: sql });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    };
    const count =
      "SELECT blob1, count(*) AS n, sum(double1) AS total FROM events GROUP BY blob1 ORDER BY blob1";
    await waitUntil(
      async () =>
        (await query("SELECT count(*) AS n FROM events")).body.rows === 1 &&
        JSON.stringify((await query("SELECT count(*) AS n FROM events")).body.data) === '[{"n":3}]',
    );
    expect((await query(`${count} FORMAT JSON`)).body).toEqual({
      meta: [
        { name: "blob1", type: "String" },
        { name: "n", type: "Float64" },
        { name: "total", type: "Float64" },
      ],
      data: [
        { blob1: "/a", n: 2, total: 3 },
        { blob1: "/b", n: 1, total: 1.5 },
      ],
      rows: 2,
    });
    for (const bad of [
      "DELETE FROM events",
      "SELECT 1; DELETE FROM point",
      "SELECT nothing FROM events",
      "",
      "SELECT * FROM",
    ]) {
      expect((await query(bad)).status, bad).toBe(400);
    }
    expect((await query("SELECT index1, blob2, double2, dataset FROM events LIMIT 1")).body.data).toEqual([
      { index1: "user", blob2: "", double2: 2, dataset: "events" },
    ]);
  });
});
