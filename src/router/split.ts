/**
 * The split: shares to a threshold in the hash space, compiled once per deployment. Pure; no I/O, no clock, no
 * randomness of its own.
 *
 * The candidate owns `[0, threshold)` of the 2^32 hash values, the stable version the rest. The interval is anchored
 * at 0 and the seed is the candidate's version id, so a key that saw the candidate keeps it while the percentage
 * rises, the order of the shares moves nobody, and two rollouts pick their first users independently.
 *
 * A rollout may have a baseline, the stable version's code in a fresh isolate. It serves the clients next above the
 * candidate's, `[threshold, baselineEnd)`, who are the stable version's in every other respect.
 */

import { baselineOf } from "../versions/placement.ts";
import type { DeploymentRecord, WatchedRollout } from "../versions/record.ts";
import type { Affinity, Cohort, IssuedCookie, Retained, Share } from "../versions/types.ts";
import { hashKey, prepareSeed, type Seed } from "./hash.ts";

/** Number of values of the hash, and the threshold that every hash is below. */
export const HASH_SPACE = 2 ** 32;

/** Why a request got its version. */
export type Reason = "override" | "cohort" | "key" | "random" | "single" | "fallback" | "pin" | "preview";

/** What a rollout counts a request as. */
export interface Observed {
  /**
   * The candidate's clients, those that it is compared with, the stable version's other clients, or the cohort, which was
   * not drawn by lot.
   */
  readonly arm: "candidate" | "reference" | "beside" | "cohort";
  readonly split: {
    /** The candidate's part of the hash space that it shares with the reference: 0 to 1. */
    readonly share: number;
    /** Percentage of the candidate. */
    readonly percentage: number;
  };
}

/** A version and why it was chosen. Compiled ahead for every combination, so that deciding allocates nothing. */
export interface Decision {
  readonly worker: string;
  readonly version: Share;
  /** Name of the isolate that serves: the version's id, or that of its baseline. */
  readonly instance: string;
  readonly reason: Reason;
  /** What the rollout counts the request as; undefined where it does not count. */
  readonly observed: Observed | undefined;
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
  /** The rollout's candidate, else the newer version by number; the only one where there is one. */
  readonly candidate: Arm;
  /** The other version; undefined where there is one. */
  readonly stable: Arm | undefined;
  /** First hash value that belongs to the stable version: 0 gives the candidate nobody, 2^32 everybody. */
  readonly threshold: number;
  /** The stable version's baseline; undefined where there is none. */
  readonly baseline: Arm | undefined;
  /** First hash value above the baseline's clients: the threshold where there is no baseline. */
  readonly baselineEnd: number;
  /** Clients that get the candidate whatever their key; undefined where there are none. */
  readonly cohort: { readonly source: Cohort; readonly decision: Decision } | undefined;
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
  const { worker, affinity } = record;
  const rollout = rolloutOf(record);
  const [first, second] = candidateFirst(record, rollout);
  // A sum of 99.999 is accepted: what is missing must not go to a version that was given nothing.
  const threshold =
    second === undefined || second.percentage === 0 ? HASH_SPACE : thresholdOf(first.percentage);
  const baselineEnd = baselineEndOf(threshold, rollout);
  const hasBaseline = baselineEnd > threshold;
  const counted = rollout && countedBy(first.percentage, threshold, baselineEnd);
  const candidate = compileArm(worker, first, counted?.("candidate"));
  const isCompared = threshold > 0 && !hasBaseline;
  const stable = second && compileArm(worker, second, counted?.(isCompared ? "reference" : "beside"));
  const retained = record.stable_only === true ? undefined : record.retained;
  const issued = affinity?.find((source) => source.type === "issued_cookie");
  return Object.freeze({
    record,
    candidate,
    stable,
    threshold,
    baseline:
      second && hasBaseline
        ? compileArm(worker, second, counted?.("reference"), baselineOf(second.version_id))
        : undefined,
    baselineEnd,
    cohort: rollout?.cohort && {
      source: rollout.cohort,
      decision: newDecision(worker, first, "cohort", { observed: counted?.("cohort") }),
    },
    seed: prepareSeed(rollout?.salt ?? first.version_id),
    everybody: threshold === HASH_SPACE ? candidate : threshold === 0 ? stable : undefined,
    affinity,
    issued,
    pins: retained && new Map(retained.map((each) => compilePin(worker, each))),
    decorates: issued !== undefined || record.expose_version === true || record.rollout !== undefined,
  });
}

/** The rollout that the two versions belong to. Safe mode serves one of them, and then there is nothing to compare. */
function rolloutOf({ versions, rollout }: DeploymentRecord): WatchedRollout | undefined {
  const hasBoth =
    versions.length === 2 && versions.some(({ version_id }) => version_id === rollout?.candidate);
  return hasBoth ? rollout : undefined;
}

function candidateFirst(
  { versions }: DeploymentRecord,
  rollout: WatchedRollout | undefined,
): [Share, Share?] {
  const newestFirst = [...versions].sort((x, y) => y.number - x.number) as [Share, Share?];
  return newestFirst[1]?.version_id === rollout?.candidate
    ? (newestFirst.reverse() as [Share, Share])
    : newestFirst;
}

function baselineEndOf(threshold: number, rollout: WatchedRollout | undefined): number {
  // Where one version serves everybody, nobody is left to compare.
  if (threshold === 0 || threshold === HASH_SPACE) return threshold;
  return Math.min(threshold + thresholdOf(rollout?.baseline ?? 0), HASH_SPACE);
}

/** What requests count as. @param percentage of the candidate */
function countedBy(percentage: number, threshold: number, baselineEnd: number) {
  const reference = (baselineEnd > threshold ? baselineEnd : HASH_SPACE) - threshold;
  const split = Object.freeze({ share: threshold / (threshold + reference), percentage });
  return (arm: Observed["arm"]): Observed => Object.freeze({ arm, split });
}

function compilePin(worker: string, { version_id, number, until }: Retained) {
  const version: Share = { version_id, number, percentage: 0 };
  return [version_id, { decision: newDecision(worker, version, "pin"), until }] as const;
}

/** The decision for a version that is asked for by its own hostname. */
export function previewOf(worker: string, version_id: string): Decision {
  return newDecision(worker, { version_id, number: 0, percentage: 0 }, "preview");
}

interface Served {
  /** Default: the version's own isolate. */
  readonly instance?: string;
  readonly observed?: Observed | undefined;
}

function newDecision(
  worker: string,
  version: Share,
  reason: Reason,
  { instance = version.version_id, observed }: Served = {},
): Decision {
  return Object.freeze({ worker, version, instance, reason, observed, identity: undefined });
}

/** Upper bound (exclusive) of a share of 0 to 100 percent in the hash space. */
export function thresholdOf(percentage: number): number {
  return Math.round((percentage / 100) * HASH_SPACE);
}

/** The version that a point of the hash space (an integer or a fraction in `[0, 2^32)`) belongs to. */
export function armAt(split: Split, point: number): Arm {
  return split.stable === undefined || point < split.threshold ? split.candidate : split.stable;
}

/** The version of a request key. */
export function armOfKey(split: Split, key: string): Arm {
  return armAt(split, hashKey(split.seed, key));
}

/** The same for a client, whom the baseline may serve. Events and Durable Objects never get the baseline. */
export function clientArmAt(split: Split, point: number): Arm {
  return point >= split.threshold && point < split.baselineEnd && split.baseline !== undefined
    ? split.baseline
    : armAt(split, point);
}

/** @param observed what clients count as whom the split gives this arm */
function compileArm(worker: string, version: Share, observed?: Observed, instance = version.version_id): Arm {
  const decision = (reason: Reason) => newDecision(worker, version, reason, { instance });
  const drawn = (reason: Reason) => newDecision(worker, version, reason, { instance, observed });
  return Object.freeze({
    version,
    override: decision("override"),
    key: drawn("key"),
    random: drawn("random"),
    single: drawn("single"),
    fallback: decision("fallback"),
  });
}

/** What became of a request: `error` is an answer of 500 or above, `exception` no answer at all. */
export type Outcome = "ok" | "error" | "exception";
