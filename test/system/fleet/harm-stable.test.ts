/** A stable version that does each harm: its process is out for one restart at most, the API never. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { deploy } from "../../support/client.ts";
import { disposeServer, type Server } from "../../support/server.ts";
import {
  ALL,
  ask,
  endsOf,
  expectEnds,
  expectRecovered,
  expectSpared,
  HARMFUL,
  HARMS,
  startWatched,
  watch,
} from "./harms.ts";

let server: Server;
beforeAll(async () => {
  server = await startWatched();
});
afterAll(() => disposeServer(server));

test.each(ALL)(
  "a stable version that does this harm hurts others for one restart at most: %s",
  async (harm) => {
    const worker = `stable-${harm}`;
    await deploy(server, worker, HARMFUL);
    const before = endsOf(server);
    const limitMs = harm === "never" ? 1_000 : 60_000;
    const harming = ask(server, worker, `/harm/${harm}`, { limitMs });
    const recovered = harming.then(() => expectRecovered(server, worker));
    const noticed = await watch(server, recovered);
    await recovered;
    const { status, body } = await harming;
    await expectEnds(server, before, HARMS[harm].ends ? "traffic-0" : undefined);
    // Neighbours have the same thread: they wait while it starts so many subrequests. Objects are asked for through it.
    const isShared = HARMS[harm].ends || harm === "subrequests";
    expectSpared(`stable ${harm}`, noticed, isShared ? ["neighbour", "objects"] : [], { server, before });
    if (HARMS[harm].ends) expect(status).toBe(0);
    if (harm === "deep") expect(status).toBe(500);
    if (harm === "never") expect(body).toBe("no answer");
    if (harm === "late" || harm === "timers") expect([status, body]).toEqual([200, "did it"]);
  },
);
