/** The counts of all Workers: one Durable Object, to which every process that serves traffic sends what it counted. */
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { type Rpc, stubOf } from "../lib/rpc.ts";
import { Counters } from "./counters.ts";
import type { AllCounts, CountBatch, SeriesPoint, WorkerCounts } from "./types.ts";

/** Name of the one object. */
const METRICS_OBJECT = "metrics";

export class Metrics extends DurableObject<Env> {
  readonly #counters: Counters;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#counters = new Counters(ctx.storage.sql);
  }

  /** Once it has answered, the batch is on disk. */
  add(batch: CountBatch): void {
    this.ctx.storage.transactionSync(() => this.#counters.add(batch, Date.now()));
  }

  setStale(worker: string, isStale: boolean): void {
    this.#counters.setStale(worker, isStale);
  }

  all(): AllCounts {
    return this.#counters.all(Date.now());
  }

  of(worker: string): WorkerCounts {
    return this.#counters.of(worker, Date.now());
  }

  /** @param since in seconds since the epoch */
  series(worker: string, since: number): SeriesPoint[] {
    return this.#counters.series(worker, since);
  }

  forget(worker: string, versions: readonly string[]): void {
    this.ctx.storage.transactionSync(() => this.#counters.forget(worker, versions, Date.now()));
  }
}

export function metricsOf({ METRICS }: Pick<Env, "METRICS">): Rpc<Metrics> {
  return stubOf(METRICS, METRICS_OBJECT);
}

/** Takes what routers counted there. No version has a channel to it. */
export class MetricsSink extends WorkerEntrypoint<Env> {
  async add(batch: CountBatch): Promise<void> {
    await metricsOf(this.env).add(batch);
  }
}
