/** Preview hostnames: each serves one version. Pure. */
import { shortId } from "../lib/ids.ts";
import { LIMITS } from "../lib/limits.ts";
import type { Version, WorkerState } from "./types.ts";

/** Cloudflare's rule (https://developers.cloudflare.com/workers/configuration/previews/). */
export const ALIAS = /^[a-z](?:[a-z0-9-]*[a-z0-9])?$/;

/** Whether a Worker's versions have preview hostnames. */
export function previewsOf({ settings, enabled }: Pick<WorkerState, "settings" | "enabled">): boolean {
  return settings.previews ?? enabled;
}

/** @param prefix an alias, or the first characters of a version's id */
export function previewLabel(prefix: string, worker: string): string {
  return `${prefix}-${worker}`;
}

/** The labels that serve a version. A label that does not fit into a hostname is left out. */
export function previewLabels(worker: string, { id, alias }: Pick<Version, "id" | "alias">): string[] {
  const prefixes = [...(id === "" ? [] : [shortId(id)]), ...(alias === null ? [] : [alias])];
  return prefixes
    .map((prefix) => previewLabel(prefix, worker))
    .filter((label) => label.length <= LIMITS.snapshot.maxLabelLength);
}
