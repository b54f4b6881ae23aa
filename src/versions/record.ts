/** The records that the router reads from KV. */

import { checkShares } from "./deployment.ts";
import type { Affinity, Phase, Retained, Share } from "./types.ts";

/**
 * The active deployment as the router reads it from KV, key `deployment/<worker>`. Self-contained: a request is
 * routed without another read.
 */
export interface DeploymentRecord {
  readonly schema: 1;
  readonly worker: string;
  /** Grows by one with every change of this record, and never restarts, not even when the Worker is deleted. */
  readonly revision: number;
  readonly deployment_id: string;
  /** Whether `<worker>.<domain>` serves (wrangler's `workers_dev`). */
  readonly enabled: boolean;
  /** One or two shares, in the order in which the operator gave them. */
  readonly versions: readonly Share[];
  /** The Worker's Durable Object classes by the ids of their namespaces; absent where it has none. */
  readonly classes?: Readonly<Record<string, string>>;
  /** Whether single versions are served at hostnames of their own. */
  readonly previews?: boolean;
  /** Where requests carry their key, in order; absent for the key header and the client's address. */
  readonly affinity?: Affinity;
  /** Whether responses say which version made them. */
  readonly expose_version?: boolean;
  /** Versions with assets that pages may still refer to, in the order in which to look; absent where there are none. */
  readonly retained?: readonly Retained[];
  /** The rollout that is under way; absent where there is none. */
  readonly rollout?: WatchedRollout;
}

/** What lists of Workers show, beside each record in KV: as of the same revision. Times are ISO 8601 in UTC. */
export interface WorkerSummary {
  readonly revision: number;
  readonly enabled: boolean;
  readonly created_on: string;
  /** When the active deployment was made. */
  readonly deployed_on: string;
  readonly deployment_id: string;
  readonly versions: readonly Share[];
  /** The newest rollout; null where there never was one. */
  readonly rollout: { readonly id: string; readonly phase: Phase } | null;
}

/** Custom domains and routes of all Workers as the router reads them from KV, key `routes`. */
export interface RoutesRecord {
  readonly schema: 1;
  /** Grows by one with every change. */
  readonly revision: number;
  /** Worker by hostname. */
  readonly domains: Readonly<Record<string, string>>;
  readonly routes: readonly { readonly pattern: string; readonly worker: string }[];
}

/** The version behind a hostname of its own, as the router reads it from KV, key `preview/<label>`. */
export interface PreviewRecord {
  readonly worker: string;
  readonly version_id: string;
}

/**
 * Reads a record that KV gave. Undefined where it is not one: the caller keeps what it has. Strict, because a
 * record that is half right would route half right.
 */
export function parseDeploymentRecord(text: string): DeploymentRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const record = value as Partial<Record<keyof DeploymentRecord, unknown>>;
  if (
    record.schema !== 1 ||
    typeof record.worker !== "string" ||
    !Number.isSafeInteger(record.revision) ||
    typeof record.deployment_id !== "string" ||
    typeof record.enabled !== "boolean" ||
    !Array.isArray(record.versions) ||
    !record.versions.every(isShare) ||
    !checkShares(record.versions).ok ||
    // Two of one number: neither would be the candidate.
    record.versions[0]?.number === record.versions[1]?.number ||
    !isClasses(record.classes) ||
    !isOptional(record.previews, isBoolean) ||
    !isOptional(record.expose_version, isBoolean) ||
    !isOptional(record.affinity, isListOf(isAffinitySource)) ||
    !isOptional(record.retained, isListOf(isRetained)) ||
    !isOptional(record.rollout, isWatched)
  ) {
    return undefined;
  }
  return value as DeploymentRecord;
}

function isClasses(value: unknown): value is DeploymentRecord["classes"] {
  if (value === undefined) return true;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((name) => typeof name === "string");
}

const isOptional = (value: unknown, is: (value: unknown) => boolean) => value === undefined || is(value);

const isBoolean = (value: unknown) => typeof value === "boolean";

const isListOf = (is: (value: unknown) => boolean) => (value: unknown) =>
  Array.isArray(value) && value.every(is);

function isAffinitySource(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { type, name, max_age } = value as Record<string, unknown>;
  if (type === "address") return true;
  if (typeof name !== "string") return false;
  return type === "header" || type === "cookie" || (type === "issued_cookie" && typeof max_age === "number");
}

function isWatched(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { id, candidate } = value as Record<string, unknown>;
  return typeof id === "string" && typeof candidate === "string";
}

function isRetained(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { version_id, number, set, until } = value as Record<string, unknown>;
  return (
    typeof version_id === "string" &&
    Number.isSafeInteger(number) &&
    typeof set === "string" &&
    (until === null || typeof until === "number")
  );
}

function isShare(value: unknown): value is Share {
  if (typeof value !== "object" || value === null) return false;
  const share = value as Partial<Record<keyof Share, unknown>>;
  return (
    typeof share.version_id === "string" &&
    Number.isSafeInteger(share.number) &&
    typeof share.percentage === "number"
  );
}

/** What the router has to know of a rollout. */
interface WatchedRollout {
  readonly id: string;
  /** Id of the version that is on trial. */
  readonly candidate: string;
}
