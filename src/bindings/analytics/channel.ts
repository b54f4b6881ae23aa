/** `analytics_engine`: a channel from a version to one dataset (dataset.ts). */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { log } from "../../lib/log.ts";
import type { Rpc } from "../../lib/rpc.ts";
import { observedByKey } from "../../router/decide.ts";
import type { Observed } from "../../router/split.ts";
import { openChannel } from "../../runtime/channels.ts";
import { deploymentsOf } from "../../runtime/process.ts";
import type { WatchedRollout } from "../../versions/record.ts";
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

/** The version that a binding belongs to. */
interface BindingProps extends Props {
  readonly worker: string;
  readonly version: string;
}

/** The registry's end of what rollouts hear of clients. */
interface OutcomeSink {
  note(outcome: { rollout: WatchedRollout; observed: Observed; key: string }): void;
}

export class AnalyticsBinding extends WorkerEntrypoint<Env, BindingProps> {
  async write(point: DataPoint): Promise<void> {
    const { dataset } = this.ctx.props;
    await datasetOf(this.env, dataset).write(dataset, point);
    try {
      await this.#tell(point);
    } catch (error) {
      // The point has been written all the same.
      log("warn", "outcome-lost", { worker: this.ctx.props.worker, dataset, why: String(error) });
    }
  }

  /** A rollout may take each point of a dataset as a failure of the client whose key is its index. */
  async #tell({ indexes }: DataPoint): Promise<void> {
    const { dataset, worker, version } = this.ctx.props;
    const [key] = indexes;
    const split = key ? await deploymentsOf(this.env).load(worker) : undefined;
    const rollout = split?.record.rollout;
    if (!key || split === undefined || rollout?.failures?.dataset !== dataset) return;
    const observed = observedByKey(split, key, version);
    if (observed === undefined) return;
    await openChannel<OutcomeSink>(this.env, "RolloutSink", { worker }).note({ rollout, observed, key });
  }
}
