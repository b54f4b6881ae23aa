/** The baseline of a rollout: the stable version's code in a fresh isolate beside the candidate's. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hashKey, prepareSeed } from "../../../src/router/hash.ts";
import { HASH_SPACE } from "../../../src/router/split.ts";
import { call, deploy, type Upload, uploadVersion } from "../../support/client.ts";
import { disposeServer, type Server, startServer, useServer, waitUntil } from "../../support/server.ts";
import { inParallel, keys, logged } from "../helpers.ts";

/** Each place says which version it is of, and in which isolate it runs: "<version> <isolate>". */
const CODE = `import { DurableObject } from "cloudflare:workers";
let isolate;
const who = (env) => env.VERSION.id + " " + (isolate ??= crypto.randomUUID());
export class Room extends DurableObject { who() { return who(this.env); } }
export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const name = searchParams.get("name");
    if (pathname === "/room") return new Response(await env.ROOM.getByName(name).who());
    if (pathname === "/send") await env.QUEUE.send(name);
    if (pathname === "/taken") return new Response(await env.KV.get(name));
    return new Response(who(env));
  },
  async queue({ messages }, env) {
    for (const { body } of messages) await env.KV.put(body, who(env));
  },
};`;

const upload = (queue: string): Upload => ({
  modules: { "index.js": { content: CODE } },
  metadata: {
    bindings: [
      { type: "version_metadata", name: "VERSION" },
      { type: "durable_object_namespace", name: "ROOM", class_name: "Room" },
      { type: "queue", name: "QUEUE", queue_name: queue },
      { type: "kv_namespace", name: "KV", namespace_id: "55555555555555555555555555555555" },
    ],
  },
});

/** Long enough to stay in its first stage. */
const STAGES = [{ percentage: 20, soak_seconds: 3_600, min_exposures: 1_000_000 }];

/** Where the candidate has the first fifth of the hash space, the baseline has the tenth above it. */
function armOf(candidate: string, key: string): "candidate" | "baseline" | "beside" {
  const point = hashKey(prepareSeed(candidate), key) / HASH_SPACE;
  return point < 0.2 ? "candidate" : point < 0.3 ? "baseline" : "beside";
}

/** One request on a connection of its own, so that any process may get it. */
async function ask(server: Server, worker: string, key: string, path = "/"): Promise<string> {
  const headers = { "Cloudflare-Workers-Version-Key": key, Connection: "close" };
  const { status, body } = await server.traffic(worker, { path, headers });
  return status === 200 ? body : `${status} ${body}`;
}

/** A rollout at 20%. */
async function begin(server: Server, worker: string, stable: Upload, candidate: Upload) {
  const ids = { stable: await deploy(server, worker, stable), candidate: "" };
  ids.candidate = await uploadVersion(server, worker, candidate);
  const input = { version_id: ids.candidate, stages: STAGES };
  const { result, errors } = await call(server, "POST", `/workers/scripts/${worker}/rollouts`, input);
  expect(errors).toEqual([]);
  return { ...ids, rollout: `/workers/scripts/${worker}/rollouts/${result.id}` };
}

describe.each([
  ["with several processes", ["--processes", "2"], 2],
  ["with one process", ["--single-process"], 1],
])("a baseline %s", (_, args, routers) => {
  let server: Server;
  let versions: Awaited<ReturnType<typeof begin>>;
  /** The isolates that have answered requests, by arm, as the versions name themselves. */
  const seen = { candidate: new Set<string>(), baseline: new Set<string>(), beside: new Set<string>() };

  beforeAll(async () => {
    server = await startServer({ args });
    await call(server, "POST", "/queues", { queue_name: "jobs" });
    const stable = upload("jobs");
    const migrations = { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] };
    const first = { ...stable, metadata: { ...stable.metadata, migrations } };
    versions = await begin(server, "shop", first, stable);
    const { result } = await call(server, "GET", "/queues?name=jobs");
    const consumer = {
      type: "worker",
      script_name: "shop",
      settings: { max_wait_time_ms: 0, batch_size: 1 },
    };
    const made = await call(server, "POST", `/queues/${result[0].queue_id}/consumers`, consumer);
    expect(made.errors).toEqual([]);
  });
  afterAll(() => disposeServer(server));

  test("answers the clients next above the candidate's, and all of them from one isolate", async () => {
    const { candidate, stable } = versions;
    await waitUntil(async () => {
      await inParallel(8, keys(200), async (key) => {
        seen[armOf(candidate, key)].add(await ask(server, "shop", key));
      });
      return seen.beside.size === routers;
    });
    expect([seen.candidate.size, seen.baseline.size]).toEqual([1, 1]);
    expect([...seen.candidate][0]).toContain(candidate);
    for (const each of [...seen.baseline, ...seen.beside]) expect(each).toContain(stable);
    expect(new Set([...seen.baseline, ...seen.beside]).size).toBe(routers + 1);
  });

  test("runs no Durable Object and takes no message of a queue", async () => {
    const [own] = keys(200).filter((key) => armOf(versions.candidate, key) === "baseline");
    const [other] = keys(200).filter((key) => armOf(versions.candidate, key) === "beside");
    const names = keys(20, "room");
    for (const name of names) {
      const room = await ask(server, "shop", own as string, `/room?name=${name}`);
      expect(seen.baseline).not.toContain(room);
      expect(await ask(server, "shop", other as string, `/room?name=${name}`)).toBe(room);
    }
    for (const name of names) await ask(server, "shop", own as string, `/send?name=${name}`);
    for (const name of names) {
      let taken = "";
      await waitUntil(async () => {
        taken = await ask(server, "shop", other as string, `/taken?name=${name}`);
        return taken !== "";
      });
      expect(seen.baseline).not.toContain(taken);
    }
  });

  test("ends with its rollout, and its clients get the isolate of the others", async () => {
    expect((await call(server, "POST", `${versions.rollout}/abort`, {})).errors).toEqual([]);
    for (const key of keys(40)) expect(seen.beside).toContain(await ask(server, "shop", key));
    const unloaded = () => logged(server, "version-unloaded").map((each) => [each.version, each.is_baseline]);
    await waitUntil(() => unloaded().some(([, isBaseline]) => isBaseline === true));
    await waitUntil(() => unloaded().some(([version]) => version === versions.candidate));
    expect(unloaded()).toContainEqual([versions.stable, true]);
    expect(unloaded()).not.toContainEqual([versions.stable, undefined]);
  });
});

test("a candidate that ends its process is found out, and the stable version beside it is spared", async () => {
  const code = (loop: string): Upload => ({
    modules: {
      "index.js": {
        content: `export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/wait") await scheduler.wait(5_000);
  ${loop}
  return new Response("fine");
} };`,
      },
    },
  });
  const server = await useServer({ args: ["--hang-timeout", "1"] });
  const looping = code('if (pathname === "/loop") for (;;);');
  const { stable, candidate, rollout } = await begin(server, "shop", code(""), looping);
  const [victim] = keys(200).filter((key) => armOf(candidate, key) === "candidate");
  const [own] = keys(200).filter((key) => armOf(candidate, key) === "baseline");
  const suspected = () => logged(server, "versions-suspected");

  expect(await ask(server, "shop", own as string)).toBe("fine");
  const waiting = ask(server, "shop", own as string, "/wait");
  await ask(server, "shop", victim as string, "/loop");
  expect(await waiting).toContain("503");
  await waitUntil(() => suspected().length === 1);
  expect(new Set(suspected()[0]?.running as string[])).toEqual(new Set([stable, candidate]));
  expect(suspected()[0]?.culprit).toBeNull();

  // The stable version answers for the baseline until nobody is suspected.
  const spared = ask(server, "shop", own as string, "/wait");
  await waitUntil(async () => {
    await ask(server, "shop", victim as string, "/loop");
    return suspected().length > 1;
  });
  expect(suspected()[1]).toMatchObject({ running: [candidate], culprit: candidate });
  await waitUntil(async () => (await call(server, "GET", rollout)).result.phase === "rolled_back");
  for (const key of keys(20)) expect(await ask(server, "shop", key)).toBe("fine");
  expect(logged(server, "process-hangs").map(({ process }) => process)).toEqual(["canary", "canary"]);
  expect(await spared).toBe("fine");
});
