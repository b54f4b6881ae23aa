/**
 * Runs a rollout with the simplest traffic, second by second instead of request by request: every client comes once, and
 * every answer is quick. test/rollout/rehearsal.test.ts holds it to the same results as rehearsal.ts. Pure.
 */
import { type Arm, HASH_SPACE, type Split } from "../router/split.ts";
import { Intake, newIntakeState } from "./intake.ts";
import { EPOCH, newRollout, type Outcome, splitOf } from "./model.ts";
import type { ObservedFailure, ObservedVisits } from "./records.ts";
import { binomial, poisson, type Random } from "./simulate.ts";
import { step } from "./step.ts";
import { type Plan, type Rollout, type RolloutEvent, TERMINAL } from "./types.ts";
import { stageOf } from "./verdict.ts";

/** Clients who come once. */
export interface Visitors {
  readonly perSecond: number;
  /** Probability of a failure by version. */
  readonly stable: number;
  readonly candidate: number;
}

/** A threshold that no answer is beyond. */
const NEVER_SLOW = [1_000];

/** An operator approves every stage at once. @param limit seconds after which the simulation ends */
export function rehearseVisitors(plan: Plan, visitors: Visitors, limit: number, random: Random): Outcome {
  const intake = new Intake(newIntakeState(), NEVER_SLOW);
  let rollout: Rollout = newRollout(plan, NEVER_SLOW);
  let split = splitOf(plan, 0);
  let second = 0;
  const happen = (event: RolloutEvent) => {
    const outcome = step(rollout, event, EPOCH + second * 1000);
    if (!outcome.ok) return;
    rollout = outcome.value.rollout;
    if (outcome.value.deploy !== null) split = splitOf(plan, outcome.value.deploy);
  };
  happen({ type: "start" });
  while (second < limit && !TERMINAL.has(rollout.phase)) {
    const report = { sender: "model", seq: second, ...draw(split, visitors, random) };
    intake.observe(report, stageOf(rollout));
    second++;
    const counts = intake.take();
    const { stage } = rollout;
    happen({ type: "look", counts, stage, slow_ms: NEVER_SLOW, frozen_until: null, lacks: null });
    if (rollout.phase === "awaiting_approval") happen({ type: "approve" });
  }
  return { rollout, seconds: second };
}

/** What happens in a second. */
function draw(split: Split, { perSecond, ...failing }: Visitors, random: Random) {
  const { threshold, baselineEnd, candidate, baseline, stable } = split;
  const visits: ObservedVisits[] = [];
  const failures: ObservedFailure[] = [];
  const come = (arm: Arm | undefined, part: number) => {
    const observed = arm?.key.observed;
    if (observed === undefined || part === 0) return;
    const count = poisson((perSecond * part) / HASH_SPACE, random);
    const failed = binomial(count, failing[arm === candidate ? "candidate" : "stable"], random);
    const seen = { arm: observed.arm, ...observed.split };
    if (count > 0) visits.push({ ...seen, visits: count });
    for (let i = 0; i < failed; i++) failures.push({ ...seen, hash: null, kind: "status" });
  };
  come(candidate, threshold);
  come(baseline, baselineEnd - threshold);
  come(stable, HASH_SPACE - baselineEnd);
  return { visits, failures, clients: [] };
}
