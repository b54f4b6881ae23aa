/** Which versions keep their assets reachable. Pure. */
import type { Retained, Retention } from "./types.ts";

const HOUR_MS = 3_600_000;

/** A version with assets that is or was in a deployment. */
export interface Deployed {
  readonly version_id: string;
  readonly number: number;
  readonly set: string;
  /** When it left the deployment, in ms since the epoch; null while it is in the active one. */
  readonly left_on: number | null;
}

/**
 * The versions whose assets stay reachable: those of the active deployment first, then the newest. A version that was
 * never deployed is not included: no client has a page of it, and its files may not be public yet.
 *
 * @param now in ms since the epoch
 */
export function retain(
  deployed: readonly Deployed[],
  { versions, hours }: Retention,
  now: number,
): Retained[] {
  const newestFirst = [...deployed].sort((x, y) => y.number - x.number);
  const kept = newestFirst.flatMap(({ version_id, number, set, left_on }, rank): Retained[] => {
    if (left_on === null || rank < versions) return [{ version_id, number, set, until: null }];
    const until = left_on + hours * HOUR_MS;
    return until > now ? [{ version_id, number, set, until }] : [];
  });
  const active = new Set(
    deployed.filter(({ left_on }) => left_on === null).map(({ version_id }) => version_id),
  );
  return [
    ...kept.filter(({ version_id }) => active.has(version_id)),
    ...kept.filter(({ version_id }) => !active.has(version_id)),
  ];
}
