/** What a change of the deployment does to traffic, in one process and in two: flips, loading ahead, unloading. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { seeded } from "../../../src/rollout/simulate.ts";
import { answering, call, createDeployment, deploy, uploadVersion } from "../../support/client.ts";
import {
  disposeServer,
  type Server,
  series,
  startServer,
  useServer,
  waitUntil,
} from "../../support/server.ts";
import { damageCode } from "../../support/stored.ts";
import { beginPost, deploymentsOf, keys, logged, NAMING_ITSELF, SEED } from "../helpers.ts";

const KEY = "Cloudflare-Workers-Version-Key";

/** Answers how often it was asked since it was loaded. */
const COUNTING = {
  modules: {
    "index.js": {
      content: `let count = 0;
export default { fetch: async (request) => {
  if (request.method === "POST") return new Response(request.body);
  return new Response(String(++count));
} };`,
    },
  },
};

/** The body of one request on a connection of its own, so that any process may get it. */
async function ask(server: Server, worker: string, key?: string): Promise<string> {
  const headers: Record<string, string> = key === undefined ? {} : { [KEY]: key };
  const { status, body } = await server.traffic(worker, { headers: { ...headers, Connection: "close" } });
  return status === 200 ? body : `${status} ${body}`;
}

/** `npm run bench -- flips` makes a thousand. */
const FLIPS = 400;

describe.each(series({ full: [1, 2], usual: [2] }))("with --processes %i", (processes) => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer({ args: ["--processes", String(processes)] });
  });

  afterAll(() => disposeServer(server));

  test("after the answer to a deployment no request follows the old split, and none fails: 400 deployments under load", async () => {
    const one = await deploy(server, "flips", NAMING_ITSELF);
    const two = await uploadVersion(server, "flips", NAMING_ITSELF);
    const random = seeded(SEED);
    /** What the latest acknowledged deployment serves, and how many deployments have been asked for and acknowledged. */
    let serving = one;
    let asked = 0;
    let acknowledged = 0;
    let done = false;
    let checked = 0;
    const wrong: string[] = [];
    const lane = async (name: string) => {
      for (let i = 0; !done; i++) {
        const [expected, before] = [serving, acknowledged];
        const body = await ask(server, "flips", `${name}-${i}`).catch(String);
        if (body !== one && body !== two) wrong.push(`seed ${SEED}: ${body}`);
        // Sent after the answer to one deployment, and answered before the next one was asked for.
        else if (asked === before && body !== expected) wrong.push(`seed ${SEED}: ${body} after ${expected}`);
        if (asked === before) checked++;
      }
    };
    const load = Promise.all(keys(4, "lane").map(lane));
    try {
      for (let flip = 0; flip < FLIPS; flip++) {
        const next = flip % 2 === 0 ? two : one;
        asked++;
        // A split of 100/0 in either order, or one version alone.
        const shares: [string, number][] =
          random() < 0.5
            ? [[next, 100]]
            : [
                [next, 100],
                [next === one ? two : one, 0],
              ];
        expect((await createDeployment(server, "flips", shares)).errors).toEqual([]);
        serving = next;
        acknowledged++;
        const [first, second] = await Promise.all([ask(server, "flips", `${flip}`), ask(server, "flips")]);
        expect([first, second], `seed ${SEED}, flip ${flip}`).toEqual([next, next]);
      }
    } finally {
      done = true;
      await load;
    }
    expect(wrong).toEqual([]);
    expect(checked).toBeGreaterThan(100);
  });

  test("a version that left its deployment is unloaded, and its running requests finish completely", async () => {
    const left = await deploy(server, "leaving", COUNTING);
    const before = await ask(server, "leaving");
    expect(before).toBe("1");
    const { outgoing, response } = await beginPost(server, "leaving", "begin ");

    await deploy(server, "leaving", answering("the next one"));
    const unloaded = () => logged(server, "version-unloaded").filter(({ version }) => version === left);
    // In every process that served it.
    await waitUntil(() => unloaded().length >= processes);
    expect(await ask(server, "leaving")).toBe("the next one");

    outgoing.end("end");
    let text = "";
    for await (const chunk of response) text += chunk;
    expect(text).toBe("begin end");

    // It is loaded anew when it comes back, and counts from the beginning in every process.
    await createDeployment(server, "leaving", [[left, 100]]);
    expect(await ask(server, "leaving")).toBe("1");
  });

  test("a version that returns before it is unloaded keeps its memory", async () => {
    const first = await deploy(server, "returning", COUNTING);
    const counts = [];
    for (let i = 0; i < 10; i++) counts.push(Number(await ask(server, "returning")));
    await deploy(server, "returning", answering("in between"));
    expect((await createDeployment(server, "returning", [[first, 100]])).errors).toEqual([]);
    const later = Number(await ask(server, "returning"));
    // Each process counts for itself, so the next number is one more than one of theirs.
    expect(counts.concat(0).map((count) => count + 1)).toContain(later);
    if (processes === 1) expect(later).toBe(11);
  });

  test("a deleted Worker's versions are unloaded too", async () => {
    const id = await deploy(server, "deleted", COUNTING);
    await ask(server, "deleted");
    expect((await call(server, "DELETE", "/workers/services/deleted?force=true")).errors).toEqual([]);
    await waitUntil(() => logged(server, "version-unloaded").some(({ version }) => version === id));
    expect(await ask(server, "deleted")).toMatch(/^404 /);
  });

  test("a version that was loaded for a deployment that was then refused is unloaded", async () => {
    const stable = await deploy(server, "refused", NAMING_ITSELF);
    const fine = await uploadVersion(server, "refused", NAMING_ITSELF);
    const broken = await uploadVersion(server, "refused", NAMING_ITSELF);
    damageCode(server, broken);
    const reply = await createDeployment(server, "refused", [
      [fine, 50],
      [broken, 50],
    ]);
    expect([reply.status, reply.errors[0]?.message]).toEqual([503, expect.stringContaining(broken)]);
    expect(await ask(server, "refused")).toBe(stable);
    const unloaded = () => logged(server, "version-unloaded").filter(({ version }) => version === fine);
    await waitUntil(() => unloaded().length === processes);
  });

  test("healthz answers, and a new Worker is served at once, even if its host was requested just before", async () => {
    expect((await fetch(`${server.control}/healthz`)).status).toBe(200);
    for (let round = 0; round < 5; round++) {
      expect(await ask(server, `brand-new-${round}`)).toMatch(/^404 /);
      await deploy(server, `brand-new-${round}`, answering("here"));
      for (let i = 0; i < 4; i++) expect(await ask(server, `brand-new-${round}`)).toBe("here");
    }
  });
});

test.each(series({ full: [1, 2], usual: [2] }))(
  "a deployment of a version that cannot be loaded is refused with --processes %i, and the active one keeps serving",
  async (processes) => {
    const args = ["--processes", String(processes)];
    let server = await useServer({ args });
    const stable = await deploy(server, "w", NAMING_ITSELF);
    const broken = await uploadVersion(server, "w", NAMING_ITSELF);
    expect(await server.stop()).toBe(0);
    damageCode(server, broken);
    server = await useServer({ like: server, args });

    const before = await deploymentsOf(server, "w");
    for (const shares of [
      [[broken, 100]],
      [
        [stable, 99.999],
        [broken, 0.001],
      ],
      [
        [stable, 100],
        [broken, 0],
      ],
    ]) {
      const reply = await createDeployment(server, "w", shares as [string, number][]);
      expect([reply.status, reply.success]).toEqual([503, false]);
      expect(reply.errors[0]?.message).toContain(broken);
      expect(reply.errors[0]?.message).toMatch(/Nothing was changed.*deploy another version/);
    }
    expect(await deploymentsOf(server, "w")).toEqual(before);
    expect(await ask(server, "w")).toBe(stable);
    expect((await createDeployment(server, "w", [[stable, 100]])).errors).toEqual([]);
  },
);
