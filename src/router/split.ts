/**
 * The split: shares to a threshold in the hash space, compiled once per deployment. Pure; no I/O, no clock, no
 * randomness of its own.
 *
 * The candidate owns `[0, threshold)` of the 2^32 hash values, the stable version the rest. The interval is anchored
 * at 0 and the seed is the candidate's version id, so a key that saw the candidate keeps it while the percentage
 * rises, the order of the shares moves nobody, and two rollouts pick their first users independently.
 */

import type { DeploymentRecord } from "../versions/record.ts";
import type { Affinity, IssuedCookie, Retained, Share } from "../versions/types.ts";
import { hashKey, prepareSeed, type Seed } from "./hash.ts";

/** Number of values of the hash, and the threshold that every hash is below. */
export const HASH_SPACE = 2 ** 32;

/** Why a request got its version. */
export type Reason = "override" | "key" | "random" | "single" | "fallback" | "pin" | "preview";

/** A version and why it was chosen. Compiled ahead for every combination, so that deciding allocates nothing. */
export interface Decision {
  readonly worker: string;
  readonly version: Share;
  readonly reason: Reason;
  /** The key that decided, where the client is about to get it as a cookie. */
  readonly identity: string | undefined;
}

/** The decisions that can fall on one version. */
export interface Arm {
  readonly version: Share;
  readonly override: Decision;
  readonly key: Decision;
  readonly random: Decision;
  readonly single: Decision;
  readonly fallback: Decision;
}

/** A deployment, ready for requests. */
export interface Split {
  readonly record: DeploymentRecord;
  /** The newer version by number; the only one where there is one. */
  readonly candidate: Arm;
  /** The other version; undefined where there is one. */
  readonly stable: Arm | undefined;
  /** First hash value that belongs to the stable version: 0 gives the candidate nobody, 2^32 everybody. */
  readonly threshold: number;
  readonly seed: Seed;
  /** The version that serves everybody, so that no key needs hashing; undefined while two share the traffic. */
  readonly everybody: Arm | undefined;
  /** Where requests carry their key beside the key header; undefined for the client's address. */
  readonly affinity: Affinity | undefined;
  /** The cookie to set where a request has no key. */
  readonly issued: IssuedCookie | undefined;
  /** Retained versions by id; undefined where no version has assets. Until when, in ms since the epoch. */
  readonly pins:
    | ReadonlyMap<string, { readonly decision: Decision; readonly until: number | null }>
    | undefined;
  /** Whether responses get something added, or are looked at. */
  readonly decorates: boolean;
}

/** Compiles a record that `parseDeploymentRecord` or the registry has checked. */
export function compileSplit(record: DeploymentRecord): Split {
  const newestFirst = [...record.versions].sort((x, y) => y.number - x.number);
  const candidate = compileArm(record.worker, newestFirst[0] as Share);
  const stable = newestFirst[1] === undefined ? undefined : compileArm(record.worker, newestFirst[1]);
  // A sum of 99.999 is accepted: what is missing must not go to a version that was given nothing.
  const threshold =
    stable === undefined || stable.version.percentage === 0
      ? HASH_SPACE
      : thresholdOf(candidate.version.percentage);
  const everybody = threshold === HASH_SPACE ? candidate : threshold === 0 ? stable : undefined;
  const seed = prepareSeed(candidate.version.version_id);
  const { affinity } = record;
  const retained = record.stable_only === true ? undefined : record.retained;
  const issued = affinity?.find((source) => source.type === "issued_cookie");
  const decorates = issued !== undefined || record.expose_version === true || record.rollout !== undefined;
  const pins =
    retained === undefined ? undefined : new Map(retained.map((each) => compilePin(record.worker, each)));
  return Object.freeze({
    record,
    candidate,
    stable,
    threshold,
    seed,
    everybody,
    affinity,
    issued,
    pins,
    decorates,
  });
}

function compilePin(worker: string, { version_id, number, until }: Retained) {
  const version: Share = { version_id, number, percentage: 0 };
  return [version_id, { decision: newDecision(worker, version, "pin"), until }] as const;
}

/** The decision for a version that is asked for by its own hostname. */
export function previewOf(worker: string, version_id: string): Decision {
  return newDecision(worker, { version_id, number: 0, percentage: 0 }, "preview");
}

function newDecision(worker: string, version: Share, reason: Reason): Decision {
  return Object.freeze({ worker, version, reason, identity: undefined });
}

/** Upper bound (exclusive) of a share of 0 to 100 percent in the hash space. */
export function thresholdOf(percentage: number): number {
  return Math.round((percentage / 100) * HASH_SPACE);
}

/** The arm that a point of the hash space (an integer or a fraction in `[0, 2^32)`) belongs to. */
export function armAt(split: Split, point: number): Arm {
  return split.stable === undefined || point < split.threshold ? split.candidate : split.stable;
}

/** The arm of a request key. */
export function armOfKey(split: Split, key: string): Arm {
  return armAt(split, hashKey(split.seed, key));
}

function compileArm(worker: string, version: Share): Arm {
  const decision = (reason: Reason) => newDecision(worker, version, reason);
  return Object.freeze({
    version,
    override: decision("override"),
    key: decision("key"),
    random: decision("random"),
    single: decision("single"),
    fallback: decision("fallback"),
  });
}

/** What became of a request: `error` is an answer of 500 or above, `exception` no answer at all. */
export type Outcome = "ok" | "error" | "exception";
