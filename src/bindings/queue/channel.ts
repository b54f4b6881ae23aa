/** `queue`: a channel from a version to one queue (broker.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { brokerOf } from "./broker.ts";
import type { QueuedMessage, QueueMetrics } from "./types.ts";

interface Props {
  /** Name of the queue. */
  readonly queue: string;
}

export class QueueBinding extends WorkerEntrypoint<Env, Props> {
  async send(messages: readonly QueuedMessage[]): Promise<QueueMetrics> {
    const { queue } = this.ctx.props;
    return brokerOf(this.env, queue).send(queue, messages);
  }

  async metrics(): Promise<QueueMetrics> {
    return brokerOf(this.env, this.ctx.props.queue).metrics();
  }
}
