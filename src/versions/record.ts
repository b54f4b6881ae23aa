/** The records that the router reads from KV. */

import { checkShares } from "./deployment.ts";
import type { Affinity, Cohort, FailureRules, Phase, Retained, Share } from "./types.ts";

/** The active deployment, key `deployment/<worker>`. Self-contained: routing a request needs no other read. */
export interface DeploymentRecord {
  readonly schema: 1;
  readonly worker: string;
  /** Increases with every change of this record, and never restarts, even when the Worker is deleted. */
  readonly revision: number;
  readonly deployment_id: string;
  /** Whether `<worker>.<domain>` serves (wrangler's `workers_dev`). */
  readonly enabled: boolean;
  /** One or two shares, in the operator's order. */
  readonly versions: readonly Share[];
  /** The Worker's Durable Object classes by namespace id; absent where it has none. */
  readonly classes?: Readonly<Record<string, string>>;
  /** Whether versions have preview hostnames. */
  readonly previews?: boolean;
  /** Sources of the request key, in order; absent for the default: the key header, then the client's address. */
  readonly affinity?: Affinity;
  /** Whether responses name the version that made them. */
  readonly expose_version?: boolean;
  /** Versions whose assets pages may still refer to, in lookup order; absent where there are none. */
  readonly retained?: readonly Retained[];
  /** Versions that must not run, by id; absent where there are none. */
  readonly quarantined?: readonly string[];
  /** When an operator last had everything run that was held, ISO 8601; absent where nobody has (held.ts). */
  readonly released?: string;
  /** The active rollout; absent where there is none. */
  readonly rollout?: WatchedRollout;
  /** Whether only the version here may run, not even for a pin or a preview. Never in KV: see safe-mode.ts. */
  readonly stable_only?: boolean;
}

/** What lists of Workers show: the KV metadata of a deployment record, of the same revision. Times in ISO 8601, UTC. */
export interface WorkerSummary {
  readonly revision: number;
  readonly enabled: boolean;
  readonly created_on: string;
  /** When the active deployment was made. */
  readonly deployed_on: string;
  readonly deployment_id: string;
  readonly versions: readonly Share[];
  /** The newest rollout; null where there has been none. */
  readonly rollout: { readonly id: string; readonly phase: Phase } | null;
}

/** Custom domains and routes of all Workers, key `routes`. */
export interface RoutesRecord {
  readonly schema: 1;
  /** Increases with every change. */
  readonly revision: number;
  /** Worker by hostname. */
  readonly domains: Readonly<Record<string, string>>;
  readonly routes: readonly { readonly pattern: string; readonly worker: string }[];
}

/** The version of a preview hostname, key `preview/<label>`. */
export interface PreviewRecord {
  readonly worker: string;
  readonly version_id: string;
}

/**
 * Parses a record from KV. Undefined where it is invalid: the caller keeps its last good record. Strict, because a
 * partly valid record would route some requests wrong.
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
    // With equal numbers, neither version would be the candidate.
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
  const { id, candidate, salt, baseline, cohort, failures } = value as Record<string, unknown>;
  return (
    typeof id === "string" &&
    typeof candidate === "string" &&
    (salt === undefined || typeof salt === "string") &&
    (baseline === undefined || typeof baseline === "number") &&
    (cohort === undefined || isCohort(cohort)) &&
    (failures === undefined || isFailureRules(failures))
  );
}

function isCohort(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { type, name, value: wanted } = value as Record<string, unknown>;
  return (type === "header" || type === "cookie") && typeof name === "string" && typeof wanted === "string";
}

function isFailureRules(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { statuses, timeout_seconds, body, dataset } = value as Record<string, unknown>;
  return (
    isListOf((status) => typeof status === "number")(statuses) &&
    typeof timeout_seconds === "number" &&
    typeof body === "boolean" &&
    (dataset === null || typeof dataset === "string")
  );
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

/** What processes that serve need to know about a rollout. Release 0.1 wrote `id` and `candidate` only. */
export interface WatchedRollout {
  readonly id: string;
  /** Version id. */
  readonly candidate: string;
  /** Seed of the hash in place of the candidate's id: the leader's of a linked pair, whose clients move together. */
  readonly salt?: string;
  /** Percentage of the clients, next above the candidate's, that the baseline serves; absent where there is none. */
  readonly baseline?: number;
  /** Clients that get the candidate whatever their key. */
  readonly cohort?: Cohort;
  /** Which answers are failures; absent for 5xx and exceptions alone. */
  readonly failures?: FailureRules;
}
