/** What routers are told of a rollout, and how many clients its baseline serves. Pure. */
import type { WatchedRollout } from "../versions/record.ts";
import type { Share } from "../versions/types.ts";
import type { Gates, Rollout } from "./types.ts";

/** Largest share of a baseline, in percent: a fresh isolate serves them less well than a warm one. */
const MAX_PERCENTAGE = 10;

/**
 * The percentage of clients that the baseline serves. It is as large as the candidate's, but at most 10, and no larger
 * than what is left of the stable version.
 *
 * @param gates 0 is the answer where they compare the candidate with all of the stable version
 * @param candidate the candidate's percentage, 0 to 100
 * @returns 0 to 10, with at most three decimals; 0 for no baseline
 */
export function baselinePercentage({ reference }: Pick<Gates, "reference">, candidate: number): number {
  if (reference === "stable") return 0;
  return Number(Math.min(candidate, MAX_PERCENTAGE, 100 - candidate).toFixed(3));
}

/**
 * What processes that serve need to know of an active rollout.
 *
 * @param shares of the deployment that it is served with
 */
export function watchedOf(
  { id, candidate, salt, plan }: Pick<Rollout, "id" | "candidate" | "salt" | "plan">,
  shares: readonly Share[],
): WatchedRollout {
  const { version_id } = candidate;
  const share = shares.find((each) => each.version_id === version_id);
  const baseline = baselinePercentage(plan.gates, share?.percentage ?? 0);
  return {
    id,
    candidate: version_id,
    ...(salt === null ? {} : { salt }),
    ...(baseline === 0 ? {} : { baseline }),
    ...(plan.cohort === null ? {} : { cohort: plan.cohort }),
    failures: plan.gates.failures,
  };
}
