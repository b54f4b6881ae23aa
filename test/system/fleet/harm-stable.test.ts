/** A stable version that does each harm: its process is out for one restart at most, the API never. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { deploy } from "../../support/client.ts";
import { disposeServer, type Server } from "../../support/server.ts";
import {
  TRIED,
  ask,
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

test.each(TRIED)(
  "a stable version that does this harm hurts others for one restart at most: %s",
  async (harm) => {
    const worker = `stable-${harm}`;
    await deploy(server, worker, HARMFUL);
    const since = new Date().toISOString();
    const limitMs = harm === "never" ? 1_000 : 60_000;
    const harming = ask(server, worker, `/harm/${harm}`, { limitMs });
    const recovered = harming.then(() => expectRecovered(server, worker));
    const noticed = await watch(server, recovered);
    await recovered;
    const { status, body } = await harming;
    await expectEnds(server, since, HARMS[harm].ends ? "traffic-0" : undefined);
    // Objects are asked for through the same process.
    const out = HARMS[harm].ends ? (["neighbour", "objects"] as const) : [];
    expectSpared(`stable ${harm}`, noticed, out, { server, since });
    if (HARMS[harm].ends) expect(status).toBe(0);
    if (harm === "deep") expect(status).toBe(500);
    if (harm === "never") expect(body).toBe("no answer");
    if (harm === "late" || harm === "timers") expect([status, body]).toEqual([200, "did it"]);
  },
);
