/** A Durable Object's method and a queue's consumer that do each harm: objects are out for one restart at most. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, deploy } from "../../support/client.ts";
import { disposeServer, type Server, waitUntil } from "../../support/server.ts";
import {
  TRIED,
  ask,
  expectEnds,
  expectRecovered,
  expectSpared,
  HARMS,
  harmful,
  startWatched,
  watch,
} from "./harms.ts";

let server: Server;
beforeAll(async () => {
  server = await startWatched();
});
afterAll(() => disposeServer(server));

const endOf = (harm: keyof typeof HARMS) => (HARMS[harm].ends ? "objects" : undefined);
const outOf = (harm: keyof typeof HARMS) => (HARMS[harm].ends ? (["objects"] as const) : []);

test.each(TRIED)(
  "an object's method that does this harm hurts objects for one restart at most: %s",
  async (harm) => {
    const worker = `object-${harm}`;
    await deploy(server, worker, harmful());
    const since = new Date().toISOString();
    const limitMs = harm === "never" ? 1_000 : 60_000;
    const harming = ask(server, worker, `/object/${harm}`, { limitMs });
    const recovered = harming.then(() => expectRecovered(server, worker));
    const noticed = await watch(server, recovered);
    await recovered;
    const { status, body } = await harming;
    await expectEnds(server, since, endOf(harm));
    expectSpared(`object ${harm}`, noticed, outOf(harm), { server, since });
    if (HARMS[harm].ends || harm === "deep" || harm === "broken") expect(status).toBe(500);
    if (harm === "never") expect(body).toBe("no answer");
    if (harm === "timers") expect([status, body]).toEqual([200, "did it"]);
    // A version that ended the process may be kept from running there.
    if (!HARMS[harm].ends) expect((await ask(server, worker, "/object/none")).body).toBe("did it");
  },
);

test.each(TRIED)(
  "a queue's consumer that does this harm hurts objects for one restart at most: %s",
  async (harm) => {
    const worker = `consumer-${harm}`;
    const queue = await call(server, "POST", "/queues", { queue_name: worker });
    await deploy(server, worker, harmful([{ type: "queue", name: "QUEUE", queue_name: worker }]));
    const settings = { batch_size: 1, max_wait_time_ms: 0, max_retries: 1 };
    const consumer = { type: "worker", script_name: worker, settings };
    const made = await call(server, "POST", `/queues/${queue.result.queue_id}/consumers`, consumer);
    expect(made.errors).toEqual([]);
    const since = new Date().toISOString();
    expect((await ask(server, worker, `/send/${harm}`)).body).toBe("sent");
    const noted = async () => (await ask(server, worker, `/noted/${harm}`)).body;
    // What never ends keeps its own queue waiting, until a deployment or an operator ends it.
    const last = harm === "never" ? "delivered 1" : "taken";
    const over = waitUntil(async () => (await noted()) === last).then(() => expectRecovered(server, worker));
    const noticed = await watch(server, over);
    await over;
    await expectEnds(server, since, endOf(harm));
    expectSpared(`consumer ${harm}`, noticed, outOf(harm), { server, since });
  },
);
