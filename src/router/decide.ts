/** Which version a request gets. Pure: the clock, the random source and new identities are passed in. */
import { type RequestData, readKey, readOverride } from "./signals.ts";
import { type Arm, armAt, armOfKey, type Decision, HASH_SPACE, type Split } from "./split.ts";

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
 * Pin, then override, then key, then chance. A version that serves everybody needs no key; where there is no other
 * version, only a pin can ask for one. Reads of the request only what can matter to this split, and allocates only for
 * a client that is about to get an identity.
 */
export function decide(split: Split, request: RequestData, given: Given): Decision {
  const pin = given.isFromClient ? pinOf(split, request.url, given.now) : undefined;
  if (pin !== undefined) return pin;
  if (split.stable === undefined) return split.candidate.single;
  const override = armOfVersion(split, readOverride(request.headers, split.record.worker));
  if (override !== undefined) return override.override;
  if (split.everybody !== undefined) return split.everybody.single;
  const key = readKey(request.headers, split.affinity, given.addressHeader);
  if (key !== undefined) return armOfKey(split, key).key;
  if (split.issued !== undefined && given.isFromClient) return decideByIdentity(split, given.newIdentity());
  return armAt(split, given.random() * HASH_SPACE).random;
}

/** The version for a key alone: what events and Durable Objects have in place of a request. */
export function decideByKey(split: Split, key: string): Decision {
  if (split.stable === undefined) return split.candidate.single;
  return split.everybody?.single ?? armOfKey(split, key).key;
}

/** The client keeps the identity in a cookie, so its first response already agrees with its second. */
function decideByIdentity(split: Split, identity: string): Decision {
  return { ...armOfKey(split, identity).key, identity };
}

/**
 * The version that takes over when the chosen one cannot be loaded: the stable one for the candidate; the candidate
 * for the stable one only where operators gave it traffic. Undefined where nothing may take over.
 */
export function decideFallback(split: Split, failed: Decision): Decision | undefined {
  // A preview is of that version or of none. A client whose pinned version cannot serve gets what everybody gets.
  if (failed.reason === "preview") return undefined;
  if (failed.reason === "pin") return (split.stable ?? split.candidate).fallback;
  if (split.stable === undefined) return undefined;
  if (failed.version === split.candidate.version) return split.stable.fallback;
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
