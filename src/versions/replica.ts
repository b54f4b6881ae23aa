/**
 * Reads and writes the KV values that the registry publishes and the router reads. Workers KV is eventually consistent:
 * the revision in each record lets a reader keep the newer of two.
 */
import { LIMITS } from "../lib/limits.ts";
import { deploymentKey, previewKey, ROUTES_KEY, versionKey } from "./keys.ts";
import type { DeploymentRecord, PreviewRecord, RoutesRecord, WorkerSummary } from "./record.ts";

export function writeRoutes(kv: KVNamespace, record: RoutesRecord): Promise<void> {
  return kv.put(ROUTES_KEY, JSON.stringify(record));
}

/** Null where no Worker has ever had a route. */
export function readRoutes(kv: KVNamespace): Promise<RoutesRecord | null> {
  return kv.get(ROUTES_KEY, { type: "json", cacheTtl: LIMITS.snapshot.kvCacheSeconds });
}

export function readPreview(kv: KVNamespace, label: string): Promise<PreviewRecord | null> {
  return kv.get(previewKey(label), { type: "json", cacheTtl: LIMITS.snapshot.kvCacheSeconds });
}

export function writeRecord(
  kv: KVNamespace,
  record: DeploymentRecord,
  summary: WorkerSummary,
): Promise<void> {
  return kv.put(deploymentKey(record.worker), JSON.stringify(record), { metadata: summary });
}

/** All Workers, by name. Null for a Worker that was last published by a release without summaries. */
export async function listWorkers(kv: KVNamespace): Promise<Map<string, WorkerSummary | null>> {
  const prefix = deploymentKey("");
  const found = new Map<string, WorkerSummary | null>();
  let cursor: string | null = null;
  do {
    const page: KVNamespaceListResult<WorkerSummary, string> = await kv.list<WorkerSummary>({
      prefix,
      cursor,
    });
    for (const { name, metadata } of page.keys) found.set(name.slice(prefix.length), metadata ?? null);
    cursor = page.list_complete ? null : page.cursor;
  } while (cursor !== null);
  return found;
}

export function deleteRecord(kv: KVNamespace, worker: string): Promise<void> {
  return kv.delete(deploymentKey(worker));
}

/** The record's text; null where the Worker has no deployment. Rejects where KV cannot be reached. */
export function readRecord(kv: KVNamespace, worker: string): Promise<string | null> {
  return kv.get(deploymentKey(worker), { type: "text", cacheTtl: LIMITS.snapshot.kvCacheSeconds });
}

/** A version's code and bindings; null where there is none. Immutable, so KV may cache it for a day. */
export function readVersion(kv: KVNamespace, id: string): Promise<ArrayBuffer | null> {
  return kv.get(versionKey(id), { type: "arrayBuffer", cacheTtl: 86_400 });
}

export function writeVersion(kv: KVNamespace, id: string, blob: Uint8Array): Promise<void> {
  return kv.put(versionKey(id), blob);
}
