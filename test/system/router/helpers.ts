/** What the tests of the traffic side share. */
import { expect } from "vitest";
import { createDeployment, deploy, type Upload, uploadVersion } from "../../support/client.ts";
import type { Server } from "../../support/server.ts";
import { NAMING_ITSELF, type RawAnswer, type RawRequest, send } from "../helpers.ts";

export const KEY = "Cloudflare-Workers-Version-Key";
export const OVERRIDES = "Cloudflare-Workers-Version-Overrides";

export const code = (content: string): Upload => ({ modules: { "index.js": { content } } });

/** A request to a Worker on a connection of its own. */
export const sendTo = (
  server: Server,
  worker: string,
  raw: Omit<RawRequest, "port" | "host"> = {},
): Promise<RawAnswer> => send({ ...raw, port: server.trafficPort, host: `${worker}.localhost` });

/** Two versions that answer with their own ids, as `[stable, candidate]`. */
export async function twoVersions(
  server: Server,
  worker: string,
  percentage: number,
): Promise<[string, string]> {
  const stable = await deploy(server, worker, NAMING_ITSELF);
  const candidate = await uploadVersion(server, worker, NAMING_ITSELF);
  await split(server, worker, [stable, 100 - percentage], [candidate, percentage]);
  return [stable, candidate];
}

export async function split(server: Server, worker: string, ...shares: [string, number][]): Promise<void> {
  const reply = await createDeployment(server, worker, shares);
  expect(reply.errors).toEqual([]);
}
