/** Takes what other processes see of a rollout to the Worker's registry. Only Sluice's own code can reach it. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { type BadOutcome, Observer } from "../rollout/observer.ts";
import type { Observations } from "../rollout/records.ts";
import { registryOf } from "./index.ts";

let outcomes: Observer | undefined;

export class RolloutSink extends WorkerEntrypoint<Env, { readonly worker: string }> {
  async observe(rollout: string, observations: Observations): Promise<void> {
    await registryOf(this.env, this.ctx.props.worker).observe(rollout, observations);
  }

  /** Notes what a version said of a client by a data point. A version may say it any number of times. */
  note(outcome: Omit<BadOutcome, "worker">): void {
    const { env } = this;
    outcomes ??= new Observer((worker, rollout, report) => registryOf(env, worker).observe(rollout, report));
    outcomes.note({ ...outcome, worker: this.ctx.props.worker }, this.ctx);
  }
}
