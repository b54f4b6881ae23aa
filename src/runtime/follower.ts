/**
 * How a process follows the registry: it loads, publishes, traces and unloads versions when it is told to. With
 * `sluice serve --processes` the messages come from the control process, through sockets in a folder that only the
 * server's user can enter (src/cli/processes), since versions hold secrets.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { beginNothing } from "../lib/under-way.ts";
import { flushCounts, moveAll, notify, notifyRoutes } from "../versions/changes.ts";
import { instancesIn } from "../versions/placement.ts";
import type { IsolateSource } from "./isolates.ts";
import { sampleCpu } from "./lane-cpu.ts";
import { laneSource } from "./lanes.ts";
import type { FollowerMessage, FollowerReply, ProcessesMessage, RunningApart } from "./messages.ts";
import { isolateSource } from "./process.ts";
import { sendMessage } from "./send.ts";
import { setShort } from "./shortage.ts";
import { answerSmoke } from "./smoke.ts";
import { isUp, setUp } from "./up.ts";
import { setWitness } from "./witness.ts";

/** By when the request that waits for the drain will have swept, in ms since the epoch. */
let sweptBy = 0;

export class Follower extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const message = await request.json<FollowerMessage>();
    const source = isolateSource(this.env);
    switch (message.type) {
      case "prepare": {
        if (message.cpu_ms !== undefined) this.ctx.waitUntil(sampleCpu(this.env, message.cpu_ms));
        const why = await source.prepare(message.worker, message.instances);
        // In another request: this one keeps the isolates that it has loaded.
        if (source.leaving > 0) await this.#tell({ type: "tidy" });
        return reply({ why: why ?? null });
      }
      case "publish": {
        const { worker, record } = message;
        notify(worker, record);
        source.retain(worker, instancesIn(this.env.SLUICE_LANE, record?.versions ?? [], record?.rollout));
        this.#unload(source);
        this.ctx.waitUntil(moveAll(this.env, worker));
        return reply({ why: null });
      }
      case "tail":
        await source.setTailing(message.worker, message.on);
        if (source.leaving > 0) await this.#tell({ type: "tidy" });
        return reply({ why: null });
      case "routes":
        notifyRoutes(message.record);
        return reply({ why: null });
      case "smoke":
        return reply(await answerSmoke(source, message, this.env, this.ctx));
      case "flush":
        await flushCounts();
        return reply({ why: null });
      case "processes":
        return reply({ why: null, running: heed(this.env, message) });
      case "stop":
        return reply({ why: null, events: beginNothing() });
      case "sweep":
        await source.sweep();
        return reply({ why: null });
      case "tidy":
        this.#unload(source);
        return reply({ why: null });
    }
  }

  /** Unloads what exceeds the limit now, and the rest after its drain: each in a request of its own, whose end returns the memory. */
  #unload(source: IsolateSource): void {
    if (source.crowded) this.ctx.waitUntil(this.#tell({ type: "sweep" }));
    if (source.leaving === 0 || Date.now() < sweptBy) return;
    // If this request ends before it has swept, a later request starts over.
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

  /** Handles a message in a request of its own. */
  async #tell(message: FollowerMessage): Promise<void> {
    await sendMessage(this.ctx.exports.Follower, message);
  }
}

/** Does what the supervisor says. @returns where the canary process has just ended: the versions with requests under way there */
export function heed(env: Env, message: ProcessesMessage): RunningApart[] {
  setUp(message.up);
  setWitness(message.isWitnessed, message.paused);
  setShort(message.isShort);
  return laneSource(env)?.setCanary(isUp("canary"), message) ?? [];
}

function reply(body: FollowerReply): Response {
  return Response.json(body);
}
