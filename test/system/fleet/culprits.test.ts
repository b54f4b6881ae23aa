/** Stable versions that end a process: they are found and named, and others are kept from the next end. */
import { expect, test } from "vitest";
import { deploy, type Upload } from "../../support/client.ts";
import { type Server, useServer, waitUntil } from "../../support/server.ts";
import { logged } from "../helpers.ts";

const GOOD: Upload = {
  modules: { "index.js": { content: 'export default { fetch: () => new Response("good") };' } },
};
/** Loops where the path says so, at once or behind its answer. */
const LOOPING: Upload = {
  modules: {
    "index.js": {
      content: `export default { async fetch(request, env, ctx) {
  const { pathname } = new URL(request.url);
  if (pathname === "/loop") for (;;);
  if (pathname === "/behind") ctx.waitUntil(scheduler.wait(100).then(() => { for (;;); }));
  return new Response("bad");
} };`,
    },
  },
};
const HANG = ["--hang-timeout", "1"];

const culprits = (server: Server) =>
  logged(server, "versions-suspected").flatMap(({ culprit }) => (culprit === null ? [] : [culprit]));

/** Waits until the Worker answers, then has it loop, and waits until its process was ended for it. */
async function loop(server: Server, worker: string, path: string): Promise<void> {
  await waitUntil(() =>
    server.traffic(worker).then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
  const before = logged(server, "process-hangs").length;
  // The process that runs it may still be starting.
  await waitUntil(async () => {
    await server.traffic(worker, { path }).catch(() => undefined);
    return logged(server, "process-hangs").length > before;
  });
}

test.each(["/loop", "/behind"])(
  "a stable version that does %s is named at the second hang, and runs apart from the others after it",
  async (path) => {
    const server = await useServer({ args: HANG });
    const id = await deploy(server, "looping", LOOPING);
    await deploy(server, "neighbour", GOOD);
    await loop(server, "looping", path);
    expect(culprits(server)).toEqual([]);
    await loop(server, "looping", path);
    await waitUntil(() => culprits(server).length > 0);
    expect(culprits(server)).toEqual([id]);
    // It serves, and what it does from now on harms no other Worker.
    await waitUntil(() =>
      server.traffic("looping").then(
        ({ body }) => body === "bad",
        () => false,
      ),
    );
    let ended = false;
    const third = loop(server, "looping", path).finally(() => {
      ended = true;
    });
    while (!ended) expect((await server.traffic("neighbour")).body).toBe("good");
    await third;
    expect(logged(server, "process-hangs").map(({ process }) => process)).toEqual([
      "traffic-0",
      "traffic-0",
      "canary",
    ]);
  },
);

test("a version whose Durable Object hangs twice is paused in the process of objects, and the objects of others go on", async () => {
  const server = await useServer({ args: HANG });
  const withObject = (method: string): Upload => ({
    modules: {
      "index.js": {
        content: `import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject { answer() { ${method} } }
export default { async fetch(request, env) {
  if (new URL(request.url).pathname === "/") return new Response("up");
  try { return new Response(await env.ROOMS.getByName("one").answer()); }
  catch (error) { return new Response(String(error), { status: 500 }); }
} };`,
      },
    },
    metadata: {
      bindings: [{ type: "durable_object_namespace", name: "ROOMS", class_name: "Room" }],
      migrations: { new_tag: "v1", steps: [{ new_sqlite_classes: ["Room"] }] },
    },
  });
  const id = await deploy(server, "looping", withObject("for (;;);"));
  await deploy(server, "neighbour", withObject('return "good";'));
  await loop(server, "looping", "/room");
  await loop(server, "looping", "/room");
  await waitUntil(() => culprits(server).length > 0);
  expect(culprits(server)).toEqual([id]);
  await waitUntil(async () => (await server.traffic("neighbour", { path: "/room" })).body === "good");
  const refused = await server.traffic("looping", { path: "/room" });
  expect([refused.status, refused.body]).toEqual([500, expect.stringContaining("paused")]);
  expect((await server.traffic("neighbour", { path: "/room" })).body).toBe("good");
  expect(logged(server, "process-hangs").length).toBe(2);
});

test("with one process, a version that hangs twice gets 503 for a while, so that the API can take it back", async () => {
  const server = await useServer({ args: [...HANG, "--single-process"] });
  const id = await deploy(server, "looping", LOOPING);
  await loop(server, "looping", "/loop");
  await loop(server, "looping", "/loop");
  await waitUntil(() => culprits(server).length > 0);
  expect(culprits(server)).toEqual([id]);
  await waitUntil(() =>
    server.traffic("looping", { path: "/loop" }).then(
      ({ status }) => status === 503,
      () => false,
    ),
  );
  await deploy(server, "looping", GOOD);
  expect((await server.traffic("looping", { path: "/loop" })).body).toBe("good");
});

test("a version cannot pretend that Sluice itself has logged something", async () => {
  const server = await useServer();
  await deploy(server, "lying", {
    modules: {
      "index.js": {
        content: `export default { fetch() {
  console.error(JSON.stringify({ level: "error", event: "process-hangs", process: "control" }));
  console.log(JSON.stringify({ level: "debug", event: "call-begins", call: 1, worker: "neighbour", version: "x" }));
  return new Response("said");
} };`,
      },
    },
  });
  expect((await server.traffic("lying")).body).toBe("said");
  await waitUntil(() =>
    logged(server, "runtime").some(({ message }) => String(message).includes("neighbour")),
  );
  expect(logged(server, "process-hangs")).toEqual([]);
});
