/** Rollouts of real versions under real traffic: they advance, hold and take themselves back without help. */
import { createHmac } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, createDeployment, deploy, type Reply, type Upload, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, TOKEN, useServer, waitUntil } from "../support/server.ts";
import { damageCode } from "../support/stored.ts";
import { Crowd } from "./crowd.ts";
import { runSluice } from "./helpers.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer({ args: ["--processes", "2"] });
});
afterAll(() => disposeServer(server));

const code = (body: string): Upload => ({
  modules: { "index.js": { content: `export default { async fetch(request) { ${body} } };` } },
});
const HEALTHY = code("return new Response('stable');");

const FAST = [
  { percentage: 20, soak_seconds: 3, min_exposures: 30 },
  { percentage: 60, soak_seconds: 2, min_exposures: 30 },
];
const path = (worker: string, rest = "") => `/workers/scripts/${worker}/rollouts${rest}`;
const begin = (worker: string, version_id: string, more: object = {}, at = server) =>
  call(at, "POST", path(worker), { version_id, stages: FAST, ...more });
const look = async (worker: string, id: string, at = server): Promise<Reply["result"]> =>
  (await call(at, "GET", path(worker, `/${id}`))).result;
const say = (worker: string, id: string, command: string) =>
  call(server, "POST", path(worker, `/${id}/${command}`), {});
const shares = async (worker: string, at = server) => {
  const { result } = await call(at, "GET", `/workers/scripts/${worker}/deployments`);
  return result.deployments[0].versions.map(({ percentage }: { percentage: number }) => percentage);
};

async function pair(worker: string, candidate: Upload, at = server): Promise<[string, string]> {
  return [await deploy(at, worker, HEALTHY), await uploadVersion(at, worker, candidate)];
}

async function until(worker: string, id: string, phase: string, at = server): Promise<Reply["result"]> {
  await waitUntil(async () => {
    const found = await look(worker, id, at);
    if (found.phase !== phase && ["promoted", "rolled_back", "aborted"].includes(found.phase)) {
      throw new Error(`it is ${found.phase}: ${found.reason}`);
    }
    return found.phase === phase;
  });
  return look(worker, id, at);
}

describe("a candidate", () => {
  test("that is as good goes through the stages to 100%, and no client sees a failure", async () => {
    const [, candidate] = await pair("good", code("return new Response('candidate');"));
    const crowd = new Crowd(server, "good");
    const { result } = await begin("good", "latest", { gates: { latency: false } });
    expect(result).toMatchObject({
      phase: "running",
      stage: 0,
      percentage: 20,
      candidate_version_id: candidate,
    });
    const ended = await until("good", result.id, "promoted");
    await crowd.leave();
    expect(await shares("good")).toEqual([100]);
    expect(new Set(crowd.answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(ended.counts.total.candidate.exposures).toBeGreaterThanOrEqual(60);
    expect(
      ended.trail.map(({ to, reason }: { to: { phase: string; stage: number }; reason: string }) =>
        `${to.phase} ${to.stage} ${to.phase === "holding" ? reason : ""}`.trim(),
      ),
    ).toEqual(["running 0", "running 1", "promoted 2"]);
  });

  test("that starts to fail for 5% of its clients is rolled back by itself, and users of the stable version notice nothing", async () => {
    const failing = "if (Math.random() < 0.05) throw new Error('no'); return new Response('candidate');";
    const [stable, candidate] = await pair("fails", code(failing));
    const crowd = new Crowd(server, "fails", { pauseMs: 1 });
    const { result } = await begin("fails", candidate, { stages: [{ percentage: 30, soak_seconds: 600 }] });
    const ended = await until("fails", result.id, "rolled_back");
    await waitUntil(async () => (await shares("fails")).join() === "100");
    const before = crowd.answers.length;
    await waitUntil(() => crowd.answers.length > before + 200);
    await crowd.leave();
    expect(ended.reason).toMatch(
      /the candidate fails .*often: \d+ clients in \d+ visits, against 0 clients in \d+ visits on the stable version/,
    );
    expect(
      (await call(server, "GET", "/workers/scripts/fails/deployments")).result.deployments[0].versions,
    ).toEqual([{ version_id: stable, percentage: 100 }]);
    // Whoever failed had the candidate: nobody else, and nobody after it was rolled back.
    expect(crowd.answers.slice(-150).every(({ body }) => body === "stable")).toBe(true);
    expect((await look("fails", result.id)).settled_ms).toBeLessThan(5_000);
    const stableAnswers = crowd.answers.filter(({ body }) => body === "stable");
    expect(stableAnswers.every(({ status }) => status === 200)).toBe(true);
  });

  test("that throws only for some keys is rolled back as well", async () => {
    const picky =
      "const key = request.headers.get('Cloudflare-Workers-Version-Key'); if (/[05]$/.test(key)) throw new Error(key); return new Response('candidate');";
    const [, candidate] = await pair("picky", code(picky));
    const crowd = new Crowd(server, "picky");
    const { result } = await begin("picky", candidate, { stages: [{ percentage: 20, soak_seconds: 600 }] });
    await until("picky", result.id, "rolled_back");
    await crowd.leave();
  });

  test("that is slow is rolled back, where latency is watched", async () => {
    const slow =
      "await new Promise((resolve) => setTimeout(resolve, 150)); return new Response('candidate');";
    const [, candidate] = await pair("slow", code(slow));
    const crowd = new Crowd(server, "slow");
    const { result } = await begin("slow", candidate, { stages: [{ percentage: 20, soak_seconds: 600 }] });
    const ended = await until("slow", result.id, "rolled_back");
    await crowd.leave();
    expect(ended.reason).toContain("the candidate is slow more often");
    expect(ended.gates.errors.e_value).toBeLessThan(10);
  });

  test("that ends its process for one client in fifty is rolled back as well", async () => {
    const deadly =
      "if (/(00|50)$/.test(request.headers.get('Cloudflare-Workers-Version-Key'))) for (;;) {} return new Response('candidate');";
    const [, candidate] = await pair("deadly", code(deadly));
    const crowd = new Crowd(server, "deadly", { lanes: 8 });
    const { result } = await begin("deadly", candidate, { stages: [{ percentage: 50, soak_seconds: 600 }] });
    await until("deadly", result.id, "rolled_back");
    await crowd.leave();
    expect(crowd.answers.filter(({ body }) => body === "stable").every(({ status }) => status === 200)).toBe(
      true,
    );
  });

  test("without traffic is held, and advances when clients come", async () => {
    const [, candidate] = await pair("lonely", code("return new Response('candidate');"));
    const { result } = await begin("lonely", candidate, {
      stages: [{ percentage: 50, soak_seconds: 1, min_exposures: 20 }],
    });
    const held = await until("lonely", result.id, "holding");
    expect(held.reason).toBe("no client has used the candidate in this stage");
    expect(await shares("lonely")).toEqual([50, 50]);
    const crowd = new Crowd(server, "lonely");
    await until("lonely", result.id, "promoted");
    await crowd.leave();
  });

  test("that cannot be loaded begins nothing", async () => {
    const own = await useServer();
    const [stable, candidate] = await pair("broken", HEALTHY, own);
    damageCode(own, candidate);
    await own.stop();
    const again = await startServer({ like: own });
    try {
      const refused = await begin("broken", candidate, {}, again);
      expect([refused.status, refused.errors[0]?.message]).toEqual([
        503,
        expect.stringContaining("cannot be loaded"),
      ]);
      expect((await call(again, "GET", path("broken"))).result).toEqual([]);
      const { result } = await call(again, "GET", "/workers/scripts/broken/deployments");
      expect(result.deployments[0].versions).toEqual([{ version_id: stable, percentage: 100 }]);
    } finally {
      await again.stop();
    }
  });
});

describe("an operator", () => {
  test("pauses, resumes, approves, promotes and aborts, and is told what cannot be done", async () => {
    const [stable, candidate] = await pair("by-hand", HEALTHY);
    const { result } = await begin("by-hand", candidate, { stages: [{ percentage: 10, soak_seconds: 600 }] });
    expect((await say("by-hand", result.id, "pause")).result.phase).toBe("paused");
    expect((await say("by-hand", result.id, "resume")).result.phase).toBe("running");
    const early = await say("by-hand", result.id, "approve");
    expect([early.status, early.errors[0]?.message]).toEqual([
      409,
      expect.stringContaining("is not waiting for approval (running)"),
    ]);
    expect((await say("by-hand", result.id, "abort")).result.phase).toBe("aborted");
    expect((await say("by-hand", result.id, "abort")).result.phase).toBe("aborted");
    expect((await say("by-hand", result.id, "promote")).status).toBe(409);
    const { deployments } = (await call(server, "GET", "/workers/scripts/by-hand/deployments")).result;
    expect(deployments[0].versions).toEqual([{ version_id: stable, percentage: 100 }]);
    expect(deployments[0].annotations["workers/message"]).toContain(`Rollout ${result.id}: aborted`);
    const second = (await begin("by-hand", candidate)).result;
    expect((await say("by-hand", second.id, "promote")).result.phase).toBe("promoted");
    expect(await shares("by-hand")).toEqual([100]);
  });

  test("cannot begin a second one, one of what serves already, one of nothing, or one that makes no sense", async () => {
    const [stable, candidate] = await pair("second", HEALTHY);
    const { result } = await begin("second", candidate, { stages: [{ percentage: 10, soak_seconds: 600 }] });
    const again = await begin("second", candidate);
    expect([again.status, again.errors[0]?.message]).toEqual([409, expect.stringContaining(result.id)]);
    await say("second", result.id, "abort");
    for (const [body, status, says] of [
      [{ version_id: stable }, 400, "already serves all traffic"],
      [{ version_id: "nothing" }, 404, "has no version nothing"],
      [
        { version_id: candidate, stages: [{ percentage: 50 }, { percentage: 5 }] },
        400,
        "each stage must be larger",
      ],
      [{ version_id: candidate, stages: [{ percentage: 50, soak_seconds: -1 }] }, 400, "soak_seconds"],
      [{ version_id: candidate, gates: { alpha: 0 } }, 400, "alpha"],
      [{ version_id: candidate, gates: { latencyy: false } }, 400, "latencyy"],
      [{ version_id: candidate, stages: [{ percentage: 50, soak: 60 }] }, 400, "soak"],
      [{ version_id: candidate, on_failure: "hold" }, 400, "on_failure"],
      [{}, 400, "version_id"],
    ] as const) {
      const refused = await call(server, "POST", path("second"), body);
      expect([refused.status, refused.errors[0]?.message], says).toEqual([
        status,
        expect.stringContaining(says),
      ]);
    }
    expect(await shares("second")).toEqual([100]);
  });

  test("takes over with any deployment, which the rollout never fights, and wrangler deploy is refused meanwhile", async () => {
    const [stable, candidate] = await pair("taken", HEALTHY);
    const { result } = await begin("taken", candidate, { stages: [{ percentage: 10, soak_seconds: 2 }] });
    const hasty = await uploadVersion(server, "taken", HEALTHY);
    const refused = await createDeployment(server, "taken", [[hasty, 100]]);
    expect([refused.status, refused.errors[0]?.message]).toEqual([
      409,
      expect.stringContaining("being rolled out"),
    ]);
    expect(
      (
        await createDeployment(server, "taken", [
          [stable, 70],
          [candidate, 30],
        ])
      ).errors,
    ).toEqual([]);
    const ended = await look("taken", result.id);
    expect([ended.phase, ended.reason]).toEqual([
      "aborted",
      expect.stringContaining("another deployment took over"),
    ]);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(await shares("taken")).toEqual([70, 30]);
  });
});

describe("a crash", () => {
  test("in the middle of a rollout is a pause: the rollout continues where it was", async () => {
    const own = await startServer();
    const [, candidate] = await pair("crashed", code("return new Response('candidate');"), own);
    const { result } = await begin(
      "crashed",
      candidate,
      { stages: [{ percentage: 30, soak_seconds: 4, min_exposures: 20 }] },
      own,
    );
    await own.kill();
    const again = await startServer({ like: own });
    try {
      const crowd = new Crowd(again, "crashed");
      const ended = await until("crashed", result.id, "promoted", again);
      await crowd.leave();
      // It may have held for as long as nobody came; nothing was begun anew.
      const events = ended.trail.map(({ event }: { event: { type: string } }) => event.type);
      expect([events[0], ...new Set(events.slice(1))]).toEqual(["start", "look"]);
      expect(ended.trail.map(({ to }: { to: { phase: string } }) => to.phase)).not.toContain("rolled_back");
    } finally {
      await disposeServer(again);
    }
  });
});

test("webhooks hear of every stage and of the end, signed, and again until they take it", async () => {
  const heard: { body: string; signature: string; path: string }[] = [];
  let refusals = 2;
  const receiver = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk) => {
      body += chunk;
    });
    incoming.on("end", () => {
      const path = incoming.url ?? "";
      if (path === "/json" && refusals-- > 0) return void response.writeHead(500).end();
      heard.push({ body, path, signature: String(incoming.headers["sluice-signature"]) });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  try {
    const [, candidate] = await pair("hooked", HEALTHY);
    const webhooks = [
      { url: `${url}/json`, secret: "a secret of ours" },
      { url: `${url}/slack`, format: "slack" },
    ];
    const options = await call(server, "PATCH", "/workers/scripts/hooked/options", { webhooks });
    expect(JSON.stringify(options.result)).not.toContain("a secret of ours");
    const { result } = await begin("hooked", candidate, { stages: [{ percentage: 10, soak_seconds: 600 }] });
    await say("hooked", result.id, "abort");
    await waitUntil(() => heard.length === 4);
    const json = heard.filter(({ path }) => path === "/json");
    expect(json.map(({ body }) => JSON.parse(body).event).sort()).toEqual(["finish", "stage"]);
    for (const { body, signature } of json) {
      const [, time, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature) ?? [];
      expect(hex).toBe(createHmac("sha256", "a secret of ours").update(`${time}.${body}`).digest("hex"));
      expect(JSON.parse(body)).toMatchObject({
        worker: "hooked",
        rollout_id: result.id,
        candidate_version_id: candidate,
      });
    }
    const slack = heard.filter(({ path }) => path === "/slack").map(({ body }) => JSON.parse(body).text);
    expect(slack).toContainEqual(expect.stringContaining("*hooked*: aborted"));
  } finally {
    receiver.close();
  }
});

test("sluice rollout starts one and waits, says how it ended with its exit code, and shows it", async () => {
  const env = { SLUICE_API_TOKEN: TOKEN, SLUICE_DATA_DIR: server.dataDir };
  const sluice = (...args: string[]) => runSluice(["rollout", ...args], env);
  const [, bad] = await pair("cli", code("return new Response('no', { status: 500 });"));
  const crowd = new Crowd(server, "cli");
  const failed = await sluice("start", "cli", "--to", bad, "--stages", "20%:5m,100%", "--wait");
  expect(failed.code).toBe(2);
  expect(failed.stdout).toContain("cli: rolled_back, the candidate");
  await uploadVersion(server, "cli", HEALTHY);
  const good = await sluice(
    "start",
    "cli",
    "--to",
    "latest",
    "--stages",
    "40%:2s,100%",
    "--min-exposures",
    "20",
    "--wait",
  );
  expect([good.code, good.stderr]).toEqual([0, ""]);
  await crowd.leave();
  const status = await sluice("status", "cli");
  expect(status.stdout).toMatch(
    /Phase {6}promoted: every stage passed[\s\S]*✓ +40% for 2 s[\s\S]*errors +E /,
  );
  expect((await sluice("list", "cli")).stdout.trim().split("\n")).toHaveLength(2);
  expect(JSON.parse((await sluice("status", "cli", "--json")).stdout).phase).toBe("promoted");
  const wrong = await sluice("start", "cli", "--to", "latest", "--stages", "half");
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('"half" is not a stage')]);
});

test("sluice simulate says what a plan would do, with a model and with a log, and how often it would be wrong", async () => {
  const simulate = (...args: string[]) => runSluice(["simulate", ...args]);
  const bad = JSON.parse(
    (await simulate("--candidate", "5", "--runs", "50", "--template", "fast", "--json")).stdout,
  );
  expect(bad.phases).toEqual({ rolled_back: 50 });
  expect(bad.rolled_back.median_seconds).toBeLessThan(60);
  const same = await simulate("--aa", "--runs", "50", "--template", "fast");
  expect(same.stdout).toMatch(/promoted +50 +100\.0%[\s\S]*False rollbacks +0\.0%/);

  const folder = await mkdtemp(join(tmpdir(), "sluice-log-"));
  const log = join(folder, "requests.jsonl");
  const lines = Array.from({ length: 60_000 }, (_, i) =>
    JSON.stringify({ key: `user-${i % 40_000}`, status: i % 300 === 0 ? 503 : 200, latency: 10 }),
  );
  await writeFile(log, lines.join("\n"));
  const args = ["--log", log, "--stages", "10%:60s,50%:60s", "--runs", "20", "--hours", "1", "--json"];
  const calm = JSON.parse((await simulate(...args, "--aa")).stdout);
  expect(calm.phases.rolled_back ?? 0).toBe(0);
  const worse = JSON.parse((await simulate(...args, "--stable", "0", "--candidate", "5")).stdout);
  expect(worse.phases).toEqual({ rolled_back: 20 });
  await writeFile(log, "not json");
  const wrong = await simulate("--log", log);
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("Line 1 of")]);
  await rm(folder, { recursive: true });
});
