/** `analytics_engine`: a channel from a version to one dataset (dataset.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { datasetOf } from "./dataset.ts";
import type { DataPoint } from "./types.ts";

interface Props {
  readonly dataset: string;
}

export class AnalyticsBinding extends WorkerEntrypoint<Env, Props> {
  async write(point: DataPoint): Promise<void> {
    await datasetOf(this.env, this.ctx.props.dataset).write(this.ctx.props.dataset, point);
  }
}
