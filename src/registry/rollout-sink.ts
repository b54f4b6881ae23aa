/** Takes what routers see of a rollout to the Worker's registry. Only Sluice's own code can reach it. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import type { Observation } from "../rollout/records.ts";
import { registryOf } from "./index.ts";

export class RolloutSink extends WorkerEntrypoint<Env, { readonly worker: string }> {
  async observe(rollout: string, observations: readonly Observation[]): Promise<void> {
    await registryOf(this.env, this.ctx.props.worker).observe(rollout, observations);
  }
}
