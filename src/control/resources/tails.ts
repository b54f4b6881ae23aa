/** `wrangler tail`: sessions, and the WebSocket of each. */
import * as z from "zod";
import { hubOf } from "../../events/tail.ts";
import type { TailFilter } from "../../events/tail-filters.ts";
import { LIMITS } from "../../lib/limits.ts";
import { type ControlContext, workerName } from "../context.ts";
import { failure, success } from "../envelope.ts";
import { signToken, verifyToken } from "../tokens.ts";

const names = z.array(z.string()).min(1);
const filter = z.union([
  z.object({ sampling_rate: z.number().min(0).max(1) }),
  z.object({ outcome: names }),
  z.object({ method: names }),
  z.object({ header: z.object({ key: z.string().min(1), query: z.string().optional() }) }),
  z.object({ client_ip: names }),
  z.object({ query: z.string() }),
  z.object({ scriptVersion: z.string() }),
]);
export const tailBody = z.looseObject({
  filters: z.array(filter).max(LIMITS.events.maxTailFilters).nullish(),
});

/** POST …/scripts/{worker}/tails: a session, and the address to connect to, which is the permission. */
export async function createTail(c: ControlContext, body: z.output<typeof tailBody>): Promise<Response> {
  if (c.env.SLUICE_FOLLOWERS === undefined) {
    const advice = "run `wrangler tail` against Cloudflare, for the Worker that Sluice itself is there";
    return failure({ reason: "unsupported", feature: "wrangler tail on Cloudflare's network", advice });
  }
  const filters: TailFilter[] = [];
  for (const each of body.filters ?? []) {
    const resolved = "client_ip" in each ? withOwnAddress(c, each.client_ip) : each;
    if (resolved === undefined) {
      const header = c.env.SLUICE_ADDRESS_HEADER;
      const how =
        header === "" ? "start the server with --address-header" : `no ${header} came with the request`;
      return failure({
        reason: "unsupported",
        feature: "filtering by your own address here",
        advice: `name the address instead of self (${how})`,
      });
    }
    filters.push(resolved);
  }
  const worker = workerName(c);
  const { id, expires } = await hubOf(c.env, worker).open(worker, filters);
  const { protocol, host } = new URL(c.req.url);
  const scheme = protocol === "https:" ? "wss:" : "ws:";
  const token = await signToken(c.env, { purpose: "tail", worker, id, exp: Math.ceil(expires / 1000) });
  return success({
    id,
    url: `${scheme}//${host}/tail/${token}`,
    expires_at: new Date(expires).toISOString(),
  });
}

/** `self` stands for whoever asks. */
function withOwnAddress(c: ControlContext, addresses: readonly string[]): TailFilter | undefined {
  const own = c.req.header(c.env.SLUICE_ADDRESS_HEADER || "CF-Connecting-IP");
  if (addresses.includes("self") && own === undefined) return undefined;
  return { client_ip: addresses.map((address) => (address === "self" ? (own as string) : address)) };
}

/** DELETE …/scripts/{worker}/tails/{tail}. */
export async function deleteTail(c: ControlContext): Promise<Response> {
  const id = c.req.param("tail") ?? "";
  const closed = await hubOf(c.env, workerName(c)).close(id);
  return closed ? success(null) : failure({ reason: "tail-not-found", id });
}

/** GET /tail/{token}. */
export async function connectTail(c: ControlContext): Promise<Response> {
  const claims = await verifyToken(c.env, "tail", c.req.param("token") ?? "");
  if (claims === undefined) return failure({ reason: "tail-not-found", id: "of this address" });
  return hubOf(c.env, claims.worker).fetch(new Request(`http://tail/${claims.id}`, c.req.raw));
}
