/** The end of channels in the process that has what they lead to; see channels.ts. */
import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { type ChannelProps, channelTo, type Methods } from "./channels.ts";
import { BINDING_HEADER, LANE_HEADER, ownAnswer, THROWN_HEADER } from "./lane-protocol.ts";
import { serveInLane } from "./lanes.ts";
import { writeError } from "./thrown.ts";
import type { ChannelEntrypoint } from "./version-env.ts";

/** Only other processes of the server can reach this: its socket is in a folder that only the server's user can enter. */
export class Remote extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    if (request.headers.has(LANE_HEADER)) return serveInLane(request, this.env, this.ctx);
    const incoming = new Request(request);
    const { entrypoint, props } = JSON.parse(request.headers.get(BINDING_HEADER) ?? "{}") as ChannelProps;
    incoming.headers.delete(BINDING_HEADER);
    try {
      return ownAnswer(await channelTo(entrypoint, props).fetch(incoming));
    } catch (error) {
      return new Response(null, { status: 500, headers: { [THROWN_HEADER]: writeError(error) } });
    }
  }

  binding(entrypoint: ChannelEntrypoint, props: object): RpcTarget {
    const channel = channelTo(entrypoint, props);
    return entrypoint === "ObjectsBinding"
      ? new Forwarded(channel, { object: (...args) => forwardObject(channel, args) })
      : new Forwarded(channel);
  }
}

/**
 * Forwards to a channel, which cannot itself be sent to another process. The runtime looks methods up on a target's
 * prototype only, so the forwarding is there.
 */
class Forwarded extends RpcTarget {
  constructor(to: Methods, instead: Methods = {}) {
    super();
    const methods = new Proxy(Forwarded.prototype, {
      get: (own, property) => {
        if (typeof property === "symbol" || property in own) return Reflect.get(own, property, own);
        return instead[property] ?? to[property];
      },
    });
    Object.setPrototypeOf(this, methods);
  }
}

async function forwardObject(channel: Methods, args: readonly unknown[]): Promise<RpcTarget> {
  return new Forwarded((await channel.object?.(...args)) as Methods);
}
