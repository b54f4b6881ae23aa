/** `…/scripts/{worker}/rollouts`. */
import * as z from "zod";
import { evidence, goodness, shareEvidence } from "../../rollout/gate.ts";
import { makePlan, TEMPLATES } from "../../rollout/plan.ts";
import type { TrailEntry } from "../../rollout/records.ts";
import { stageOf, thresholdOf } from "../../rollout/step.ts";
import { METRICS, type Rollout, type RolloutCommand } from "../../rollout/types.ts";
import { type ControlContext, registryFor, workerName } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";

const stage = z.strictObject({
  percentage: z.number(),
  soak_seconds: z
    .number()
    .min(0)
    .max(30 * 86_400)
    .optional(),
  min_exposures: z.number().int().min(0).optional(),
  approval: z.enum(["auto", "manual"]).optional(),
});

export const rolloutBody = z.strictObject({
  version_id: z.string().min(1),
  stages: z.array(stage).min(1).max(20).optional(),
  template: z.enum(Object.keys(TEMPLATES) as [keyof typeof TEMPLATES]).optional(),
  on_fail: z.enum(["rollback", "hold"]).optional(),
  gates: z
    .strictObject({
      alpha: z.number().gt(0).max(0.5).optional(),
      margin: z.number().min(1).max(10).optional(),
      latency: z.boolean().optional(),
    })
    .optional(),
});

/** POST …/rollouts: `version_id` is an id, a tag or `latest`; everything else has a default. */
export async function startRollout(c: ControlContext, body: z.output<typeof rolloutBody>): Promise<Response> {
  const { version_id, stages, template, gates, on_fail } = body;
  const plan = makePlan({ stages, template, gates, on_fail });
  if (!plan.ok) return failure({ reason: "rollout-invalid", detail: `the plan ${plan.error}` });
  const started = await registryFor(c).startRollout(workerName(c), {
    version: version_id,
    plan: plan.value,
    author: c.var.author,
  });
  return respond(started, (rollout) => showRollout(workerName(c), rollout));
}

/** GET …/rollouts, newest first. */
export async function listRollouts(c: ControlContext): Promise<Response> {
  const rollouts = await registryFor(c).rollouts();
  return success(rollouts.map((rollout) => showRollout(workerName(c), rollout)));
}

/** GET …/rollouts/{rollout}, with all of its events. */
export async function getRollout(c: ControlContext): Promise<Response> {
  const id = c.req.param("rollout") ?? "";
  const found = await registryFor(c).rollout(id);
  if (found === undefined) return failure({ reason: "rollout-not-found", worker: workerName(c), id });
  const { rollout, trail, history } = found;
  return success({ ...showRollout(workerName(c), rollout), trail: trail.map(showEntry), history });
}

/** POST …/rollouts/{rollout}/{pause|resume|approve|promote|abort}. */
export async function commandRollout(c: ControlContext, command: RolloutCommand): Promise<Response> {
  const id = c.req.param("rollout") ?? "";
  const changed = await registryFor(c).commandRollout(workerName(c), id, command, c.var.author);
  return respond(changed, (rollout) => showRollout(workerName(c), rollout));
}

const date = (time: number | null) => (time === null ? null : new Date(time).toISOString());

export function showRollout(worker: string, rollout: Rollout): Record<string, unknown> {
  const { id, phase, reason, plan, candidate, stable, author, evidence: known } = rollout;
  const watched = plan.gates.latency ? METRICS : (["errors"] as const);
  return {
    id,
    worker,
    phase,
    reason,
    candidate_version_id: candidate.version_id,
    stable_version_id: stable.version_id,
    created_on: date(rollout.created),
    ended_on: date(rollout.ended),
    settled_ms: rollout.settled_ms,
    author_email: author.email,
    plan,
    stage: rollout.stage,
    stage_since: date(rollout.stage_since),
    percentage: stageOf(rollout).percentage,
    share_e_value: shareEvidence(known.share),
    slow_ms: known.slow_ms,
    gates: Object.fromEntries(
      watched.map((metric) => [
        metric,
        {
          e_value: evidence(known.metrics[metric]),
          threshold: thresholdOf(rollout),
          good_e_value: goodness(known.metrics[metric]),
          total: known.total[metric],
          stage: known.stage[metric],
        },
      ]),
    ),
  };
}

function showEntry({ time, who, event, before, after, deployment_id }: TrailEntry): Record<string, unknown> {
  return {
    time: date(time),
    who: who.email,
    event,
    from: { phase: before.phase, stage: before.stage },
    to: { phase: after.phase, stage: after.stage },
    reason: after.reason,
    deployment_id,
    evidence: after.evidence,
  };
}
