/** What the supervisor tells the API, and how often it says so. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { Health } from "../../src/cli/processes/health.ts";
import type { HealthSample } from "../../src/metrics/types.ts";
import type { Found, Incident } from "../../src/versions/incident.ts";
import { waitUntil } from "../support/server.ts";

const HANG: Found = {
  process: "canary",
  cause: "hang",
  evidence: { silent_ms: 2000 },
  versions: [],
  culprit: null,
};

/** An API that is away for the first calls of a path, with what it was told. */
async function useApi({ refusals }: { refusals: number }) {
  const incidents: Incident[] = [];
  const samples: HealthSample[] = [];
  let left = refusals;
  const api = createServer(async (incoming, response) => {
    const body = JSON.parse(await text(incoming));
    if (incoming.url?.endsWith("/processes")) samples.push(body);
    else if (left-- > 0) return void incoming.socket.destroy();
    else incidents.push(body);
    response.end(JSON.stringify({ success: true, errors: [], result: null }));
  }).listen(0, "127.0.0.1");
  await once(api, "listening");
  const control = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  const target = { control, accountId: "sluice", token: "token" };
  const health = new Health({ target, processes: [], memoryMiB: 512, folder: "." });
  onTestFinished(() => {
    health.stop();
    api.closeAllConnections();
    api.close();
  });
  return { health, incidents, samples };
}

test("incidents are reported until the API has each of them, in order and once", async () => {
  const { health, incidents } = await useApi({ refusals: 3 });
  health.incident(HANG);
  health.incident({ ...HANG, process: "control", cause: "ended" });
  await waitUntil(() => incidents.length >= 2);
  expect(incidents.map(({ process, cause }) => [process, cause])).toEqual([
    ["canary", "hang"],
    ["control", "ended"],
  ]);
  expect(new Set(incidents.map(({ id }) => id)).size).toBe(2);
  health.incident(HANG);
  await waitUntil(() => incidents.length >= 3);
  expect(incidents).toHaveLength(3);
});

test("no more versions are named than an incident may name", async () => {
  const { health, incidents } = await useApi({ refusals: 0 });
  health.incident({ ...HANG, versions: Array(60).fill({ worker: "shop", version: "v" }) });
  await waitUntil(() => incidents.length >= 1);
  expect(incidents[0]?.versions).toHaveLength(50);
});

test("the supervisor names itself and the disk at once, and again when something has changed", async () => {
  const { health, samples } = await useApi({ refusals: 0 });
  await waitUntil(() => samples.length >= 1);
  expect(samples[0]?.processes.map(({ name, up }) => [name, up])).toEqual([["supervisor", true]]);
  expect(samples[0]?.disk?.size_bytes).toBeGreaterThan(0);
  void health.sample();
  await waitUntil(() => samples.length >= 2);
});
