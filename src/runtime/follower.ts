/**
 * What a traffic process and the control process have to say to each other, where they are two
 * (`sluice serve --processes`). The sockets of both are in a folder that only the server's user can enter
 * (src/cli/traffic.ts), since versions hold secrets.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { moveObjects } from "../bindings/objects/host.ts";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { flushCounts } from "../metrics/flush.ts";
import { notify, notifyRoutes } from "../versions/replica.ts";
import type { FollowerMessage, FollowerReply } from "../versions/types.ts";
import { FOLLOWER_URL, versionsOf } from "./fleet.ts";
import { type IsolateSource, isolateSource } from "./isolates.ts";

/** When the request that waits for the drain will have swept, in ms since the epoch. */
let sweptBy = 0;

/** The traffic process's ear. */
export class Follower extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const message = await request.json<FollowerMessage>();
    const source = isolateSource(this.env);
    switch (message.type) {
      case "prepare": {
        const why = await source.prepare(message.worker, message.versions);
        // Not by this request: it has got hold of what it loaded, and so keeps it.
        if (source.leaving > 0) await this.#tell({ type: "tidy" });
        return reply({ why: why ?? null });
      }
      case "publish":
        notify(message.worker, message.record);
        source.retain(message.worker, versionsOf(message.record));
        this.#unload(source);
        if (this.env.OBJECTS !== undefined) this.ctx.waitUntil(moveObjects(this.env.OBJECTS, message.worker));
        return reply({ why: null });
      case "tail":
        await source.setTailing(message.worker, message.on);
        if (source.leaving > 0) await this.#tell({ type: "tidy" });
        return reply({ why: null });
      case "routes":
        notifyRoutes(message.record);
        return reply({ why: null });
      case "flush":
        await flushCounts();
        return reply({ why: null });
      case "sweep":
        await source.sweep();
        return reply({ why: null });
      case "tidy":
        this.#unload(source);
        return reply({ why: null });
    }
  }

  /** What is too much now, the rest after the drain. Each time in a request of its own, whose end returns the memory. */
  #unload(source: IsolateSource): void {
    if (source.crowded) this.ctx.waitUntil(this.#tell({ type: "sweep" }));
    if (source.leaving === 0 || Date.now() < sweptBy) return;
    // Should this request end before it has swept, a later one does.
    sweptBy = Date.now() + 2 * LIMITS.drainMs;
    this.ctx.waitUntil(this.#sweepAfterDrain(source));
  }

  async #sweepAfterDrain(source: IsolateSource): Promise<void> {
    while (source.leaving > 0) {
      sweptBy = Date.now() + 2 * LIMITS.drainMs;
      await new Promise((resolve) => setTimeout(resolve, LIMITS.drainMs + 1));
      await this.#tell({ type: "sweep" });
    }
    sweptBy = 0;
  }

  /** In a request of its own. */
  async #tell(message: FollowerMessage): Promise<void> {
    const init = { method: "POST", body: JSON.stringify(message) };
    const response = await this.ctx.exports.Follower.fetch(FOLLOWER_URL, init);
    // Unread, it would keep that request.
    await response.text();
  }
}

/** The control process's KV for traffic processes to read, in the protocol of workerd's KV bindings. */
export class Replica extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    if (request.method !== "GET") return new Response(null, { status: 405 });
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    const { value, metadata } = await this.env.SLUICE_KV.getWithMetadata(key, "stream");
    if (value === null) return new Response(null, { status: 404 });
    const headers = metadata === null ? undefined : { "CF-KV-Metadata": JSON.stringify(metadata) };
    return new Response(value, headers && { headers });
  }
}

function reply(body: FollowerReply): Response {
  return Response.json(body);
}
