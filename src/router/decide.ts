/** Which version a request gets. Pure: the clock, the random source and new identities are passed in. */
import { hashKey } from "./hash.ts";
import { isInCohort, type RequestData, readKey, readOverride } from "./signals.ts";
import {
  type Arm,
  armOfKey,
  clientArmAt,
  type Decision,
  HASH_SPACE,
  type Observed,
  type Split,
} from "./split.ts";

/** What a decision depends on besides the deployment and the request. */
export interface Given {
  /** Header with the client's address that clients cannot forge; empty for none. */
  readonly addressHeader: string;
  /** Whether a client sent the request. A call through a service binding is never pinned and has no cookies to keep. */
  readonly isFromClient: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** A request key that no other client has. */
  readonly newIdentity: () => string;
}

/**
 * Pin, then override, then cohort, then key, then chance. A version that serves everybody needs no key; where there is no other
 * version, only a pin can ask for one. Reads of the request only what can matter to this split, and allocates only for
 * a client that is about to get an identity.
 */
export function decide(split: Split, request: RequestData, given: Given): Decision {
  const pin = given.isFromClient ? pinOf(split, request.url, given.now) : undefined;
  if (pin !== undefined) return pin;
  if (split.stable === undefined) return split.candidate.single;
  const override = armOfVersion(split, readOverride(request.headers, split.record.worker));
  if (override !== undefined) return override.override;
  if (split.cohort !== undefined && isInCohort(request.headers, split.cohort.source)) {
    return split.cohort.decision;
  }
  if (split.everybody !== undefined) return split.everybody.single;
  const key = readKey(request.headers, split.affinity, given.addressHeader);
  if (key !== undefined) return clientArm(split, key).key;
  if (split.issued !== undefined && given.isFromClient) return decideByIdentity(split, given.newIdentity());
  return clientArmAt(split, given.random() * HASH_SPACE).random;
}

function clientArm(split: Split, key: string): Arm {
  return clientArmAt(split, hashKey(split.seed, key));
}

/** The version for a key alone: what events and Durable Objects have in place of a request. */
export function decideByKey(split: Split, key: string): Decision {
  if (split.stable === undefined) return split.candidate.single;
  return split.everybody?.single ?? armOfKey(split, key).key;
}

/**
 * What a rollout counts a client as of whom only the key is known, and the version that served it. Undefined where the
 * split gives the client the other version: then an override chose this one, or the share has changed meanwhile.
 */
export function observedByKey(split: Split, key: string, version: string): Observed | undefined {
  const { everybody, cohort, candidate } = split;
  const { observed, version: chosen } = everybody?.single ?? clientArm(split, key).key;
  if (chosen.version_id === version) return observed;
  return version === candidate.version.version_id ? cohort?.decision.observed : undefined;
}

/** The client keeps the identity in a cookie, so its first response already agrees with its second. */
function decideByIdentity(split: Split, identity: string): Decision {
  return { ...clientArm(split, identity).key, identity };
}

/**
 * The version that takes over when the chosen one cannot be loaded: the stable one for the candidate and for its own
 * baseline; the candidate for the stable one only where operators gave it traffic. Undefined where nothing may take over.
 */
export function decideFallback(split: Split, failed: Decision): Decision | undefined {
  // A preview is of that version or of none. A client whose pinned version cannot serve gets what everybody gets.
  if (failed.reason === "preview") return undefined;
  if (failed.reason === "pin") return (split.stable ?? split.candidate).fallback;
  if (split.stable === undefined) return undefined;
  if (failed.version === split.candidate.version) return split.stable.fallback;
  // The split chose the stable version for these clients, and so it does now.
  if (failed.instance !== failed.version.version_id) {
    return failed.reason === "random" ? split.stable.random : split.stable.key;
  }
  return split.threshold > 0 ? split.candidate.fallback : undefined;
}

/** @param id ignored unless it is in the deployment (0% included) */
function armOfVersion(split: Split, id: string | undefined): Arm | undefined {
  if (id === undefined) return undefined;
  if (split.candidate.version.version_id === id) return split.candidate;
  if (split.stable?.version.version_id === id) return split.stable;
  return undefined;
}

/**
 * `?dpl=<version id>`: a page asks the version that made it for the files and data that belong to it, whatever the
 * deployment is by then. Build tools add the parameter to URLs (Next.js and others, for "skew protection").
 */
const PARAMETER = /[?&]dpl=([0-9a-f-]{36})(?:&|#|$)/;

/**
 * The version that a request is pinned to. Undefined where it names none, or one that is no longer retained: then the
 * deployment decides.
 *
 * @param now in ms since the epoch
 */
export function pinOf({ pins }: Split, url: string, now: () => number): Decision | undefined {
  // Most requests have none, and a search for four characters is cheaper than one with a pattern.
  if (pins === undefined || !url.includes("dpl=")) return undefined;
  const pin = pins.get(PARAMETER.exec(url)?.[1] ?? "");
  if (pin === undefined || (pin.until !== null && pin.until <= now())) return undefined;
  return pin.decision;
}
