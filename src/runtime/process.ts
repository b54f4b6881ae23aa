/** What a process has once: the isolates of versions, and the deployments that Workers see of each other. */

import { exports } from "cloudflare:workers";
import { AssetStore } from "../assets/index.ts";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { Snapshot } from "../router/snapshot.ts";
import type { Split } from "../router/split.ts";
import { servedBy } from "../versions/safe-mode.ts";
import { openChannel } from "./channels.ts";
import { IsolateSource } from "./isolates.ts";
import { sendMessage } from "./send.ts";

/** The active deployments that Workers see of each other: for service bindings, events and Durable Objects. */
export class Deployments {
  readonly #snapshot: Snapshot;

  constructor(env: Env) {
    this.#snapshot = new Snapshot(env.SLUICE_KV, refreshMsOf(env), { served: servedBy(env) });
  }

  /** The split of a Worker, without I/O; undefined until it was loaded. */
  get(worker: string, ctx: Pick<ExecutionContext, "waitUntil">): Split | undefined {
    return this.#snapshot.of(worker, ctx);
  }

  /** The same, from KV if necessary; undefined if the Worker is not deployed. Rejects if KV cannot be read. */
  async load(worker: string): Promise<Split | undefined> {
    const found = await this.#snapshot.load(worker);
    if (found === "unavailable")
      throw new Error(`The deployment of "${worker}" cannot be read at the moment.`);
    return found === "absent" ? undefined : found;
  }
}

let deployments: Deployments | undefined;

export function deploymentsOf(env: Env): Deployments {
  deployments ??= new Deployments(env);
  return deployments;
}

/** Age in ms at which a deployment is read from KV again: later in a process that is told of every change. */
export function refreshMsOf(env: Pick<Env, "SLUICE_FOLLOWERS">): number {
  return env.SLUICE_FOLLOWERS === undefined
    ? LIMITS.snapshot.snapshotRefreshMs
    : LIMITS.snapshot.toldRefreshMs;
}

let isolates: IsolateSource | undefined;

/** The isolates of this process: the router, the registry and the follower share them. */
export function isolateSource(env: Env): IsolateSource {
  isolates ??= createSource(env);
  return isolates;
}

function createSource(env: Env): IsolateSource {
  const retained = async (worker: string) => (await deploymentsOf(env).load(worker))?.record.retained ?? [];
  return new IsolateSource({
    loader: env.LOADER,
    kv: env.SLUICE_KV,
    build: env.SLUICE_BUILD,
    open: (entrypoint, props) => openChannel(env, entrypoint, props),
    assets: new AssetStore(env.SLUICE_KV, retained),
    collect: (worker, version) => exports.TailCollector({ props: { worker, version } }) as unknown as Fetcher,
    outbound: env.SLUICE_OUTBOUND,
    tidy: async () => {
      await sendMessage(exports.Follower, { type: "tidy" });
    },
  });
}
