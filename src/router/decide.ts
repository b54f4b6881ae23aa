/** Which version a request gets. Pure: the random source is passed in. */
import { type Arm, armAt, armOfKey, type Decision, HASH_SPACE, type Split } from "./split.ts";

/**
 * Override, then key, then random; a version that serves everybody needs neither of the last two, and where there is
 * no other version, no request can ask for one.
 *
 * @param override version id that the request asks for; ignored unless it is in the deployment (0% included)
 * @param key the request key, non-empty; undefined where the request has none
 * @param random gives a number in [0, 1)
 */
export function decide(
  split: Split,
  override: string | undefined,
  key: string | undefined,
  random: () => number,
): Decision {
  if (split.stable === undefined) return split.candidate.single;
  if (override !== undefined) {
    const chosen = armOfVersion(split, override);
    if (chosen !== undefined) return chosen.override;
  }
  if (split.everybody !== undefined) return split.everybody.single;
  if (key !== undefined) return armOfKey(split, key).key;
  return armAt(split, random() * HASH_SPACE).random;
}

/**
 * The version that takes over when the chosen one cannot be loaded: the stable one for the candidate; the candidate
 * for the stable one only where operators gave it traffic. Undefined where nothing may take over.
 */
export function decideFallback(split: Split, failed: Decision): Decision | undefined {
  // A preview is of that version or of none; who is pinned to one that cannot serve gets what everybody gets.
  if (failed.reason === "preview") return undefined;
  if (failed.reason === "pin") return (split.stable ?? split.candidate).fallback;
  if (split.stable === undefined) return undefined;
  if (failed.version === split.candidate.version) return split.stable.fallback;
  return split.threshold > 0 ? split.candidate.fallback : undefined;
}

function armOfVersion(split: Split, id: string): Arm | undefined {
  if (split.candidate.version.version_id === id) return split.candidate;
  if (split.stable?.version.version_id === id) return split.stable;
  return undefined;
}
