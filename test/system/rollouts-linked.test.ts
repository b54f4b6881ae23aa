/** Rollouts of two Workers that move together: real versions, real traffic to both. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { answering, call, deploy, type Reply, type Upload, uploadVersion } from "../support/client.ts";
import { disposeServer, type Server, startServer, waitUntil } from "../support/server.ts";
import { Crowd } from "./crowd.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => disposeServer(server));

const FAILING: Upload = {
  modules: {
    "index.js": { content: "export default { fetch: () => new Response('no', { status: 500 }) };" },
  },
};
const FAST = [
  { percentage: 20, soak_seconds: 1, min_exposures: 30 },
  { percentage: 60, soak_seconds: 1, min_exposures: 30 },
];
const SURE = { stages: FAST, gates: { latency: false } };
const LONG = [{ percentage: 50, soak_seconds: 600 }];

const crowd = (worker: string) => new Crowd(server, worker, { pauseMs: 10 });
const path = (worker: string, rest = "") => `/workers/scripts/${worker}/rollouts${rest}`;
const list = async (worker: string): Promise<Reply["result"]> =>
  (await call(server, "GET", path(worker))).result;
const newest = async (worker: string): Promise<Reply["result"]> => (await list(worker))[0];
const say = (worker: string, id: string, command: string) =>
  call(server, "POST", path(worker, `/${id}/${command}`), {});
const shares = async (worker: string): Promise<number[]> => {
  const { result } = await call(server, "GET", `/workers/scripts/${worker}/deployments`);
  return result.deployments[0].versions.map(({ percentage }: { percentage: number }) => percentage);
};
const hasEnded = (worker: string) => waitUntil(async () => (await newest(worker)).ended_on !== null);

/** Two Workers, `<name>-web` and `<name>-api`, each with a stable version and a candidate. */
async function pair(name: string, candidates: { web?: Upload; api?: Upload } = {}) {
  const [web, api] = [`${name}-web`, `${name}-api`];
  for (const worker of [web, api]) await deploy(server, worker, answering("stable"));
  const { web: ofWeb = answering("candidate"), api: ofApi = answering("candidate") } = candidates;
  const versions = {
    web: await uploadVersion(server, web, ofWeb),
    api: await uploadVersion(server, api, ofApi),
  };
  return { web, api, versions };
}

async function begin(name: string, plan: object = {}, candidates: { web?: Upload; api?: Upload } = {}) {
  const { web, api, versions } = await pair(name, candidates);
  const linked = { worker: api, version_id: versions.api };
  const { result, errors } = await call(server, "POST", path(web), {
    version_id: versions.web,
    stages: LONG,
    linked,
    ...plan,
  });
  expect(errors).toEqual([]);
  return { web, api, leader: result.id as string, follower: (await newest(api)).id as string };
}

describe("two linked rollouts", () => {
  test("give the same clients the candidates of both", async () => {
    const { web, api } = await begin("together");
    const answers = async (worker: string) => {
      const keys = Array.from({ length: 100 }, (_, i) => `user-${i}`);
      const all = keys.map((key) =>
        server.traffic(worker, { headers: { "Cloudflare-Workers-Version-Key": key } }),
      );
      return (await Promise.all(all)).map(({ body }) => body);
    };
    const ofWeb = await answers(web);
    expect(new Set(ofWeb)).toEqual(new Set(["stable", "candidate"]));
    expect(await answers(api)).toEqual(ofWeb);
  });

  test("go through the stages together, up to 100%", async () => {
    const { web, api } = await begin("both", SURE);
    const crowds = [crowd(web), crowd(api)];
    await Promise.all([hasEnded(web), hasEnded(api)]);
    await Promise.all(crowds.map((users) => users.leave()));
    for (const worker of [web, api]) {
      expect((await newest(worker)).phase).toBe("promoted");
      expect(await shares(worker)).toEqual([100]);
    }
    const { trail } = (await call(server, "GET", path(api, `/${(await newest(api)).id}`))).result;
    const stages = trail.map(({ to }: { to: { stage: number } }) => to.stage);
    expect([...new Set(stages)]).toEqual([0, 1, 2]);
  });

  test("wait for each other: no stage ends while one of them has no traffic", async () => {
    const { web, api } = await begin("waiting", SURE);
    const users = crowd(web);
    await waitUntil(async () => (await newest(web)).reason.includes(`"${api}"`));
    await users.leave();
    expect(await newest(web)).toMatchObject({ stage: 0, phase: "holding", waiting: "traffic" });
    expect((await newest(web)).reason).toContain("no client has used the candidate");
  });

  test.each([
    ["the first", "leads", { web: FAILING }],
    ["the second", "follows", { api: FAILING }],
  ])("are both rolled back where the candidate of %s fails", async (_, name, candidates) => {
    const { web, api } = await begin(name, {}, candidates);
    const crowds = [crowd(web), crowd(api)];
    await Promise.all([hasEnded(web), hasEnded(api)]);
    await Promise.all(crowds.map((users) => users.leave()));
    const [failing, other] = name === "leads" ? [web, api] : [api, web];
    for (const worker of [web, api]) {
      expect((await newest(worker)).phase).toBe("rolled_back");
      expect(await shares(worker)).toEqual([100]);
      expect((await server.traffic(worker)).body).toBe("stable");
    }
    expect((await newest(failing)).reason).toContain("the candidate fails");
    expect((await newest(other)).reason).toContain(`the linked rollout of "${failing}"`);
  });
});

describe("an operator", () => {
  test("can end both from either of them, and moves them from the first one only", async () => {
    for (const [name, from] of [
      ["by-web", "web"],
      ["by-api", "api"],
    ] as const) {
      const { web, api, leader, follower } = await begin(name);
      for (const command of ["pause", "resume", "approve", "promote"]) {
        const { status, errors } = await say(api, follower, command);
        expect(status).toBe(409);
        expect(errors[0]?.message).toContain(`belongs to the rollout of "${web}" (${leader})`);
      }
      const { status } = await say(
        ...(from === "web" ? ([web, leader] as const) : ([api, follower] as const)),
        "abort",
      );
      expect(status).toBe(200);
      await Promise.all([hasEnded(web), hasEnded(api)]);
      expect([(await newest(web)).phase, (await newest(api)).phase]).toEqual(["aborted", "aborted"]);
      expect([await shares(web), await shares(api)]).toEqual([[100], [100]]);
    }
  });

  test("who promotes the first one promotes both", async () => {
    const { web, api, leader } = await begin("promoting");
    expect((await say(web, leader, "promote")).status).toBe(200);
    expect([(await newest(web)).phase, (await newest(api)).phase]).toEqual(["promoted", "promoted"]);
    expect((await server.traffic(api)).body).toBe("candidate");
  });

  test("who deploys something else in one of them ends the other one, and keeps that deployment", async () => {
    const { web, api } = await begin("taken");
    const hotfix = await uploadVersion(server, api, answering("hotfix"));
    const { status } = await call(server, "POST", `/workers/scripts/${api}/deployments?force=true`, {
      strategy: "percentage",
      versions: [{ version_id: hotfix, percentage: 100 }],
    });
    expect(status).toBe(200);
    await Promise.all([hasEnded(web), hasEnded(api)]);
    expect((await newest(api)).phase).toBe("aborted");
    expect(await newest(web)).toMatchObject({ phase: "rolled_back" });
    expect((await server.traffic(api)).body).toBe("hotfix");
    expect((await server.traffic(web)).body).toBe("stable");
  });

  test("gets neither where one of them cannot be started", async () => {
    const { web, api, versions } = await pair("neither");
    const start = (linked: object) =>
      call(server, "POST", path(web), { version_id: versions.web, stages: LONG, linked });
    const unknown = await start({ worker: api, version_id: "no-such-version" });
    expect([unknown.status, unknown.errors[0]?.message]).toEqual([404, expect.stringContaining(`"${api}"`)]);
    const nobody = await start({ worker: "nobody", version_id: versions.api });
    expect([nobody.status, nobody.errors[0]?.message]).toEqual([404, expect.stringContaining('"nobody"')]);
    const itself = await start({ worker: web, version_id: versions.web });
    expect([itself.status, itself.errors[0]?.message]).toEqual([400, expect.stringContaining("with itself")]);
    expect([await list(web), await list(api)]).toEqual([[], []]);
    expect([await shares(web), await shares(api)]).toEqual([[100], [100]]);
  });

  test("who deletes the first Worker is told that the other one waits for a leader, and can end that", async () => {
    const { web, api, follower } = await begin("orphan");
    expect((await call(server, "DELETE", `/workers/services/${web}`)).status).toBe(200);
    await waitUntil(async () => (await newest(api)).phase === "holding");
    expect(await newest(api)).toMatchObject({ waiting: "operator" });
    expect((await newest(api)).reason).toContain(`"${web}", whose rollout moves this one, no longer exists`);
    expect((await say(api, follower, "abort")).status).toBe(200);
    expect(await shares(api)).toEqual([100]);
  });
});

test("a server that is killed while linked rollouts start has both or neither afterwards", async () => {
  const { web, api, versions } = await pair("killed");
  const linked = { worker: api, version_id: versions.api };
  const started = call(server, "POST", path(web), { version_id: versions.web, stages: LONG, linked });
  started.catch(() => {});
  await waitUntil(async () => (await list(api)).length > 0);
  await server.kill();
  server = await startServer({ like: server });
  const isUnderWay = (rollout: Reply["result"]) => rollout !== undefined && rollout.ended_on === null;
  await waitUntil(async () => {
    const [ofWeb, ofApi] = [await newest(web), await newest(api)];
    return isUnderWay(ofWeb) === isUnderWay(ofApi);
  });
  expect(await shares(web)).toHaveLength((await shares(api)).length);
});
