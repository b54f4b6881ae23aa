/**
 * What a traffic process and the control process have to say to each other, where they are two
 * (`sluice serve --processes`). The sockets of both are in a folder that only the server's user can enter
 * (src/cli/traffic.ts), since versions hold secrets.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { flushCounts, moveAll, notify, notifyRoutes } from "../versions/changes.ts";
import { FOLLOWER_URL, versionsOf } from "./fleet.ts";
import type { IsolateSource } from "./isolates.ts";
import type { FollowerMessage, FollowerReply } from "./messages.ts";
import { isolateSource } from "./process.ts";

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
        this.ctx.waitUntil(moveAll(this.env, message.worker));
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
    sweptBy = Date.now() + 2 * LIMITS.loading.drainMs;
    this.ctx.waitUntil(this.#sweepAfterDrain(source));
  }

  async #sweepAfterDrain(source: IsolateSource): Promise<void> {
    while (source.leaving > 0) {
      sweptBy = Date.now() + 2 * LIMITS.loading.drainMs;
      await new Promise((resolve) => setTimeout(resolve, LIMITS.loading.drainMs + 1));
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

function reply(body: FollowerReply): Response {
  return Response.json(body);
}
