/**
 * The KV side of the store: what the registry publishes and the router reads.
 * Workers KV is eventually consistent; the revision in each record lets a reader keep the newer of two.
 */
import { LIMITS } from "../limits.ts";
import { deploymentKey, versionKey } from "./keys.ts";
import type { DeploymentRecord } from "./types.ts";

/** Told of every change that is published: a new record, or null where the Worker was deleted. */
export type ReplicaListener = (worker: string, record: DeploymentRecord | null) => void;

const listeners = new Set<ReplicaListener>();

/**
 * Registers a cache of this isolate. Every entrypoint and Durable Object of one Worker shares module state within a
 * workerd process, so a deployment made here reaches the router of the same process without a wait.
 */
export function onReplicated(listener: ReplicaListener): void {
  listeners.add(listener);
}

/** Rejects where KV cannot be written; the caches of this process follow all the same. */
export async function publishRecord(kv: KVNamespace, record: DeploymentRecord): Promise<void> {
  try {
    await kv.put(deploymentKey(record.worker), JSON.stringify(record));
  } finally {
    notify(record.worker, record);
  }
}

export async function retractRecord(kv: KVNamespace, worker: string): Promise<void> {
  try {
    await kv.delete(deploymentKey(worker));
  } finally {
    notify(worker, null);
  }
}

/** The record's text; null where the Worker has no deployment. Rejects where KV cannot be reached. */
export function readRecord(kv: KVNamespace, worker: string): Promise<string | null> {
  return kv.get(deploymentKey(worker), { type: "text", cacheTtl: LIMITS.kvCacheSeconds });
}

/** A version's code and bindings; null where it is not there. Immutable, so KV may cache it for long. */
export function readVersion(kv: KVNamespace, id: string): Promise<ArrayBuffer | null> {
  return kv.get(versionKey(id), { type: "arrayBuffer", cacheTtl: 86_400 });
}

export function writeVersion(kv: KVNamespace, id: string, blob: Uint8Array): Promise<void> {
  return kv.put(versionKey(id), blob);
}

/** Tells the caches of this isolate. */
export function notify(worker: string, record: DeploymentRecord | null): void {
  for (const listener of listeners) listener(worker, record);
}
