/** `analytics_engine`: a channel from a version to one dataset (../objects/dataset.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { type Rpc, stubOf } from "../../lib/rpc.ts";
import type { Dataset } from "./dataset.ts";
import type { DataPoint } from "./types.ts";

interface Props {
  readonly dataset: string;
}

export function datasetOf({ DATASETS }: Pick<Env, "DATASETS">, name: string): Rpc<Dataset> {
  return stubOf(DATASETS, name);
}

export class AnalyticsBinding extends WorkerEntrypoint<Env, Props> {
  async write(point: DataPoint): Promise<void> {
    await datasetOf(this.env, this.ctx.props.dataset).write(this.ctx.props.dataset, point);
  }
}
