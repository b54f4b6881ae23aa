/** What this process holds once: the isolates of versions, and the deployments that Workers see of each other. */

import { exports } from "cloudflare:workers";
import { AssetStore } from "../assets/index.ts";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { Snapshot } from "../router/snapshot.ts";
import type { Split } from "../router/split.ts";
import { openChannel } from "./channels.ts";
import { FOLLOWER_URL } from "./fleet.ts";
import { IsolateSource } from "./isolates.ts";
import type { FollowerMessage } from "./messages.ts";
import type { OpenChannel } from "./version-env.ts";

/** The active deployments as Workers see each other's: for service bindings and Durable Objects. */
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

let deployments: Deployments | undefined;

export function deploymentsOf(env: Env): Deployments {
  deployments ??= new Deployments(env.SLUICE_KV, refreshMsOf(env));
  return deployments;
}

/** Age at which a deployment is read again, in ms. */
export function refreshMsOf(env: Pick<Env, "SLUICE_FOLLOWERS">): number {
  return env.SLUICE_FOLLOWERS === undefined
    ? LIMITS.snapshot.snapshotRefreshMs
    : LIMITS.snapshot.toldRefreshMs;
}

let isolates: IsolateSource | undefined;

/** The source of this isolate: the router's, the registry's and the follower's are one. */
export function isolateSource(env: Env): IsolateSource {
  const open: OpenChannel = (entrypoint, props) => openChannel(env, entrypoint, props);
  isolates ??= new IsolateSource({
    loader: env.LOADER,
    kv: env.SLUICE_KV,
    build: env.SLUICE_BUILD,
    open,
    assets: new AssetStore(
      env.SLUICE_KV,
      async (worker) => (await deploymentsOf(env).load(worker))?.record.retained ?? [],
    ),
    collect: (worker, version) => exports.TailCollector({ props: { worker, version } }) as unknown as Fetcher,
    tidy: async () => {
      const message: FollowerMessage = { type: "tidy" };
      const response = await exports.Follower.fetch(FOLLOWER_URL, {
        method: "POST",
        body: JSON.stringify(message),
      });
      // Unread, it would keep that request.
      await response.text();
    },
  });
  return isolates;
}
