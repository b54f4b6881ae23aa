/** A candidate at 1%, and a preview, that do each harm: only their own requests are hurt. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { answering, createDeployment, deploy, uploadVersion } from "../../support/client.ts";
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

/** A Worker with a candidate at 1%. @returns how to ask the candidate */
async function candidate(worker: string) {
  const stable = await deploy(server, worker, answering("stable"));
  const id = await uploadVersion(server, worker, HARMFUL);
  const shares = [
    [stable, 99],
    [id, 1],
  ] as const;
  expect((await createDeployment(server, worker, shares)).errors).toEqual([]);
  return { host: worker, headers: { "Cloudflare-Workers-Version-Overrides": `${worker}="${id}"` } };
}

/** A Worker whose second version is not deployed. @returns how to ask that version */
async function preview(worker: string) {
  await deploy(server, worker, answering("stable"));
  const id = await uploadVersion(server, worker, HARMFUL);
  return { host: `${id.slice(0, 8)}-${worker}`, headers: {} };
}

const PLACES = { candidate, preview };

test.each(TRIED.flatMap((harm) => [["candidate", harm] as const, ["preview", harm] as const]))(
  "a %s that does this harm hurts its own requests only: %s",
  async (place, harm) => {
    const worker = `${place}-${harm}`;
    const { host, headers } = await PLACES[place](worker);
    await expectRecovered(server, host, headers);
    const since = new Date().toISOString();
    const limitMs = harm === "never" ? 1_000 : 60_000;
    const harming = ask(server, host, `/harm/${harm}`, { headers, limitMs });
    const noticed = await watch(server, harming);
    const { status, body } = await harming;
    await expectEnds(server, since, HARMS[harm].ends ? "canary" : undefined);
    expectSpared(`${place} ${harm}`, noticed, [], { server, since });
    if (HARMS[harm].ends) expect(status).toBe(503);
    if (harm === "deep") expect(status).toBe(500);
    if (harm === "never") expect(body).toBe("no answer");
    if (harm === "broken") expect(body).not.toBe("fine");
    if (harm === "late" || harm === "timers") expect([status, body]).toEqual([200, "did it"]);
    await expectRecovered(server, host, headers);
    expect((await ask(server, worker, "/")).body).toBe("stable");
  },
);
