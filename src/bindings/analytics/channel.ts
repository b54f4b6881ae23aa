/** `analytics_engine`: a channel from a version to one dataset (dataset.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import type { Rpc } from "../../lib/rpc.ts";
import { openChannel } from "../../runtime/channels.ts";
import { datasetOf } from "./dataset.ts";
import type { DataPoint } from "./types.ts";

interface Props {
  readonly dataset: string;
}

/** What the API does with a dataset. */
export class DatasetAdmin extends WorkerEntrypoint<Env, Props> {
  select(query: string) {
    const { dataset } = this.ctx.props;
    return datasetOf(this.env, dataset).select(dataset, query);
  }
}

export function datasetAdminOf(env: Pick<Env, "SLUICE_LANE">, dataset: string): Rpc<DatasetAdmin> {
  return openChannel<DatasetAdmin>(env, "DatasetAdmin", { dataset });
}

export class AnalyticsBinding extends WorkerEntrypoint<Env, Props> {
  async write(point: DataPoint): Promise<void> {
    await datasetOf(this.env, this.ctx.props.dataset).write(this.ctx.props.dataset, point);
  }
}
