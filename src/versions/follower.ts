/**
 * What a traffic process and the control process have to say to each other, where they are two
 * (`sluice serve --processes`). Neither entrypoint is reachable from outside the machine.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../env.ts";
import { versionsOf } from "./fleet.ts";
import { notify } from "./replica.ts";
import { isolateSource } from "./sources/isolate.ts";
import type { FollowerMessage, FollowerReply } from "./types.ts";

/** The traffic process's ear: its socket is in a folder that only the server's user can enter. */
export class Follower extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const message = await request.json<FollowerMessage>();
    const source = isolateSource(this.env);
    const { worker } = message;
    if (message.type === "prepare") {
      const why = (await source.prepare(worker, message.versions)) ?? null;
      return reply({ why });
    }
    notify(worker, message.record);
    source.retain(worker, versionsOf(message.record));
    this.ctx.waitUntil(source.drain());
    return reply({ why: null });
  }
}

/** The control process's KV for traffic processes to read, in the protocol of workerd's KV bindings. */
export class Replica extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const { SLUICE_KV, SLUICE_REPLICA_TOKEN } = this.env;
    // Loopback is everybody's on this machine, and versions hold secrets.
    const allowed =
      SLUICE_REPLICA_TOKEN !== undefined &&
      request.headers.get("Authorization") === `Bearer ${SLUICE_REPLICA_TOKEN}`;
    if (!allowed) return new Response(null, { status: 403 });
    if (request.method !== "GET") return new Response(null, { status: 405 });
    const value = await SLUICE_KV.get(decodeURIComponent(new URL(request.url).pathname.slice(1)), "stream");
    return value === null ? new Response(null, { status: 404 }) : new Response(value);
  }
}

function reply(body: FollowerReply): Response {
  return Response.json(body);
}
