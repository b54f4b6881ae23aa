/** `wrangler tail`: its sessions, and the WebSocket of each. */
import * as z from "zod";
import { hubOf } from "../../events/tail.ts";
import type { TailFilter } from "../../events/tail-filters.ts";
import { LIMITS } from "../../lib/limits.ts";
import { type ControlContext, workerName } from "../context.ts";
import { failure, success } from "../envelope.ts";
import { signTicket, verifyTicket } from "../tickets.ts";

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

/** POST …/scripts/{worker}/tails: a session, and the URL to connect to. Whoever has the URL may connect. */
export async function createTail(c: ControlContext, body: z.output<typeof tailBody>): Promise<Response> {
  const filters: TailFilter[] = [];
  for (const each of body.filters ?? []) {
    const resolved = "client_ip" in each ? withOwnAddress(c, each.client_ip) : each;
    if (resolved === undefined) {
      const header = c.env.SLUICE_ADDRESS_HEADER;
      const how = header === "" ? "start the server with --address-header" : `send the header ${header}`;
      return failure({
        reason: "unsupported",
        feature: "filtering by your own client address here",
        advice: `write the client address instead of self, or ${how}`,
      });
    }
    filters.push(resolved);
  }
  const worker = workerName(c);
  const { id, expires } = await hubOf(c.env, worker).open(worker, filters);
  const { protocol, host } = new URL(c.req.url);
  const scheme = protocol === "https:" ? "wss:" : "ws:";
  const ticket = await signTicket(c.env, { purpose: "tail", worker, id, exp: Math.ceil(expires / 1000) });
  return success({
    id,
    url: `${scheme}//${host}/tail/${ticket}`,
    expires_at: new Date(expires).toISOString(),
  });
}

/** Replaces `self` by the client address of this request; undefined where that is not known. */
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

/** GET /tail/{ticket}. */
export async function connectTail(c: ControlContext): Promise<Response> {
  const ticket = await verifyTicket(c.env, "tail", c.req.param("ticket") ?? "");
  if (ticket === undefined) return failure({ reason: "tail-not-found", id: "at this URL" });
  return hubOf(c.env, ticket.worker).fetch(new Request(`http://tail/${ticket.id}`, c.req.raw));
}
