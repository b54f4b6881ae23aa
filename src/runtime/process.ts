/** The active deployments as Workers see each other's: for service bindings and Durable Objects. One per isolate. */
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { Snapshot } from "../router/snapshot.ts";
import type { Split } from "../router/split.ts";

export class Deployments {
  readonly #snapshot: Snapshot;

  constructor(kv: KVNamespace, refreshMs: number) {
    this.#snapshot = new Snapshot(kv, refreshMs);
  }

  /** The split of a Worker that was asked for before, without I/O. */
  get(worker: string, ctx: Pick<ExecutionContext, "waitUntil">): Split | undefined {
    return this.#snapshot.of(worker, ctx);
  }

  /** The same, from KV where need be; undefined where the Worker is not deployed. Rejects where KV cannot be read. */
  async load(worker: string): Promise<Split | undefined> {
    const found = await this.#snapshot.load(worker);
    if (found === "unavailable")
      throw new Error(`The deployment of "${worker}" cannot be read at the moment.`);
    return found === "absent" ? undefined : found;
  }
}

let shared: Deployments | undefined;

export function deploymentsOf(env: Env): Deployments {
  shared ??= new Deployments(env.SLUICE_KV, refreshMsOf(env));
  return shared;
}

/** Age at which a deployment is read again, in ms. */
export function refreshMsOf(env: Pick<Env, "SLUICE_FOLLOWERS">): number {
  return env.SLUICE_FOLLOWERS === undefined ? LIMITS.snapshotRefreshMs : LIMITS.toldRefreshMs;
}
