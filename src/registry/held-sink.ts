/** Takes what is held to the Worker's registry, from the process that runs it. Only Sluice's own code can reach it. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import type { HeldEvent } from "../versions/types.ts";
import { registryOf } from "./index.ts";

export class HeldSink extends WorkerEntrypoint<Env, { readonly worker: string }> {
  async hold(event: Omit<HeldEvent, "since">): Promise<void> {
    const { worker } = this.ctx.props;
    await registryOf(this.env, worker).hold(worker, event);
  }
}
