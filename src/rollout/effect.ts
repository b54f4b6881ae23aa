/** The effect of a candidate, as operators are told it. Pure. */
import { ratioInterval } from "./gate.ts";
import type { Rollout } from "./types.ts";
import { ratioText } from "./verdict.ts";

/** How much more often the candidate fails than the reference. */
export interface Effect {
  /** Smallest ratio of the failure rates that the failures do not contradict; null for no bound. */
  readonly from: number | null;
  /** Largest such ratio; null for no bound. */
  readonly to: number | null;
  /** The same in words, to be read after "fails", e.g. `0.8 to 1.3 times as often`. */
  readonly text: string;
  /** First failures that the interval does not contain yet, because an earlier request may still be unanswered. */
  readonly unsettled_failures: number;
}

export function effectOf(rollout: Pick<Rollout, "evidence">): Effect {
  const { ratio, unsettled } = rollout.evidence;
  const unsettled_failures = unsettled.reduce(
    (sum, { tally: { candidate, reference } }) => sum + candidate + reference,
    0,
  );
  return { ...ratioInterval(ratio), text: ratioText(rollout), unsettled_failures };
}
