/** `analytics_engine`: a channel from a version to one dataset (../objects/dataset.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import type { DataPoint } from "../../versions/types.ts";
import type { Dataset } from "./dataset.ts";

interface Props {
  readonly dataset: string;
}

export function datasetOf({ DATASETS }: Pick<Env, "DATASETS">, name: string): DurableObjectStub<Dataset> {
  return DATASETS.get(DATASETS.idFromName(name));
}

export class AnalyticsBinding extends WorkerEntrypoint<Env, Props> {
  async write(point: DataPoint): Promise<void> {
    await datasetOf(this.env, this.ctx.props.dataset).write(this.ctx.props.dataset, point);
  }
}
