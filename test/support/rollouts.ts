/** A rollout as the registry holds it. */
import { addCounts } from "../../src/rollout/counts.ts";
import { learnRatio, type Tally } from "../../src/rollout/gate.ts";
import { NEW_EVIDENCE } from "../../src/rollout/learning.ts";
import { makePlan, type PlanInput } from "../../src/rollout/plan.ts";
import type { Rollout } from "../../src/rollout/types.ts";

const START = Date.UTC(2026, 10, 17);

/** @param failures first failures that the effect is known from */
export function makeRollout(
  change: Partial<Rollout>,
  failures: readonly Tally[] = [],
  input: PlanInput = {},
): Rollout {
  const plan = makePlan(input);
  if (!plan.ok) throw new Error(plan.error);
  const counts = failures.map(({ candidate, reference }) => ({
    ...NEW_EVIDENCE.total,
    candidate: { exposures: 10 * candidate, failures: candidate },
    reference: { exposures: 10 * reference, failures: reference },
  }));
  return {
    id: "11111111-2222-4333-8444-555555555555",
    candidate: { version_id: "candidate", number: 2 },
    stable: { version_id: "stable", number: 1 },
    plan: plan.value,
    phase: "running",
    reason: "stage 1 of 5",
    waiting: "time",
    failed: null,
    stage: 0,
    stage_since: START,
    elapsed: 90_000,
    soaked: 60_000,
    clock: START + 90_000,
    created: START,
    ended: null,
    settled_ms: null,
    author: { id: "anna", email: "anna@example.com" },
    peer: null,
    salt: null,
    evidence: {
      ...NEW_EVIDENCE,
      ratio: learnRatio(NEW_EVIDENCE.ratio, failures),
      total: counts.reduce(addCounts, NEW_EVIDENCE.total),
    },
    ...change,
  };
}
