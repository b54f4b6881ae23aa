/** Rollouts as the API shows them. Times are ISO 8601 in UTC, durations are in seconds. Pure. */
import { harmed } from "../rollout/counts.ts";
import { cpuTimes } from "../rollout/cpu.ts";
import { isDrifting } from "../rollout/drift.ts";
import { effectOf } from "../rollout/effect.ts";
import { shareEvidence } from "../rollout/gate.ts";
import type { TrailEntry } from "../rollout/records.ts";
import type { Rollout } from "../rollout/types.ts";
import { evidenceOf, isRelapsing, metricsOf, stageOf, thresholdOf } from "../rollout/verdict.ts";

const date = (time: number | null) => (time === null ? null : new Date(time).toISOString());

/** @param worker name of the Worker */
export function showRollout(worker: string, rollout: Rollout): Record<string, unknown> {
  const { id, phase, reason, waiting, failed, plan, candidate, stable, author, peer } = rollout;
  return {
    id,
    worker,
    phase,
    reason,
    waiting,
    failed,
    candidate_version_id: candidate.version_id,
    stable_version_id: stable.version_id,
    created_on: date(rollout.created),
    ended_on: date(rollout.ended),
    settled_ms: rollout.settled_ms,
    author_email: author.email,
    plan,
    cohort: plan.cohort,
    peer,
    stage: rollout.stage,
    stage_since: date(rollout.stage_since),
    percentage: stageOf(rollout).percentage,
    as_of: date(rollout.clock),
    elapsed_seconds: rollout.elapsed / 1000,
    soaked_seconds: rollout.soaked / 1000,
    ...showEvidence(rollout),
  };
}

/** What is known about the candidate. */
function showEvidence(rollout: Rollout): Record<string, unknown> {
  const { total, stage, slow, slow_ms, share, drift, cpu } = rollout.evidence;
  return {
    effect: effectOf(rollout),
    users_harmed: harmed(total),
    counts: { total, stage },
    gates: Object.fromEntries(
      metricsOf(rollout).map((metric) => [
        metric,
        { e_value: evidenceOf(rollout, metric), threshold: thresholdOf(rollout, metric) },
      ]),
    ),
    slow_ms,
    slow,
    share_e_value: shareEvidence(share),
    cpu: cpuTimes(cpu) ?? null,
    drift: { stable: isDrifting(drift), candidate: isRelapsing(rollout) },
  };
}

/** A transition. `evidence` is what was known after it. */
export function showEntry(entry: TrailEntry): Record<string, unknown> {
  const { time, who, event, before, after, deployment_id } = entry;
  return {
    time: date(time),
    who: who.email,
    event,
    from: { phase: before.phase, stage: before.stage },
    to: { phase: after.phase, stage: after.stage },
    reason: after.reason,
    deployment_id,
    evidence: showEvidence(after),
  };
}
