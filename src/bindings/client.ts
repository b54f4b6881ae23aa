/**
 * Runs inside a version, before its own code: replaces the channels to Sluice in `env` by objects with the platform's
 * methods. src/cli/bundle.ts makes one module of this file; nothing here is part of Sluice's own Worker.
 */
import { env } from "cloudflare:workers";
import type { ClientBinding } from "../versions/binding-types.ts";
import { AnalyticsEngineDataset } from "./analytics/client.ts";
import { D1Database } from "./d1/client.ts";
import { KvNamespace } from "./kv/client.ts";
import { DurableObjectNamespace } from "./objects/client.ts";
import { WorkerQueue } from "./queue/client.ts";
import { R2Bucket } from "./r2/client.ts";
import { Ratelimit } from "./ratelimit/client.ts";

export { objectClass } from "./objects/client.ts";
export { queueEntrypoint } from "./queue/client.ts";
export { scheduledEntrypoint } from "./scheduled/client.ts";
export { prepareScript, scriptHandlers } from "./service-worker/client.ts";

type Client = (channel: never, binding: never) => unknown;

const CLIENTS: Readonly<Record<string, Client>> = {
  kv_namespace: (channel) => new KvNamespace(channel),
  r2_bucket: (channel) => new R2Bucket(channel),
  queue: (channel, binding) => new WorkerQueue(channel, binding),
  analytics_engine: (channel) => new AnalyticsEngineDataset(channel),
  ratelimit: (channel) => new Ratelimit(channel),
  d1: (channel) => new D1Database(channel),
  durable_object_namespace: (channel, binding) => new DurableObjectNamespace(channel, binding),
};

/** Call this before the version's own modules are evaluated, since they may read `env`. */
export function install(bindings: readonly ClientBinding[]): void {
  const values = env as Record<string, unknown>;
  for (const binding of bindings) {
    const client = CLIENTS[binding.type];
    if (client !== undefined) values[binding.name] = client(values[binding.name] as never, binding as never);
  }
}

/** Removes a value from `env` that the version's own code must not see. */
export function take(name: string): unknown {
  const values = env as Record<string, unknown>;
  const value = values[name];
  delete values[name];
  return value;
}
