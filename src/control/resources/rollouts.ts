/** `…/scripts/{worker}/rollouts`. */
import type * as z from "zod";
import { err, ok } from "../../lib/result.ts";
import { certificateOf } from "../../rollout/certificate.ts";
import { makePlan } from "../../rollout/plan.ts";
import type { RolloutCommand } from "../../rollout/types.ts";
import { type ControlContext, registryFor, workerName } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";
import type { rolloutBody } from "../rollout-body.ts";
import { showEntry, showRollout } from "../rollout-view.ts";

/** POST …/rollouts: `version_id` is an id, a tag or `latest`; everything else has a default. */
export async function startRollout(c: ControlContext, body: z.output<typeof rolloutBody>): Promise<Response> {
  const { version_id, ...input } = body;
  const plan = makePlan(input);
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
  return respond(await findRollout(c), ({ rollout, trail, history }) => ({
    ...showRollout(workerName(c), rollout),
    trail: trail.map(showEntry),
    history,
  }));
}

/** GET …/rollouts/{rollout}/certificate. */
export async function getCertificate(c: ControlContext): Promise<Response> {
  return respond(await findRollout(c), ({ rollout, tallies }) =>
    certificateOf(workerName(c), rollout, tallies),
  );
}

async function findRollout(c: ControlContext) {
  const id = c.req.param("rollout") ?? "";
  const found = await registryFor(c).rollout(id);
  return found === undefined
    ? err({ reason: "rollout-not-found", worker: workerName(c), id } as const)
    : ok(found);
}

/** POST …/rollouts/{rollout}/{pause|resume|approve|promote|abort}. */
export async function commandRollout(c: ControlContext, command: RolloutCommand): Promise<Response> {
  const id = c.req.param("rollout") ?? "";
  const changed = await registryFor(c).commandRollout(workerName(c), id, command, c.var.author);
  return respond(changed, (rollout) => showRollout(workerName(c), rollout));
}
