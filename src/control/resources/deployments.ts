/** `…/scripts/{worker}/deployments` and `…/explain`. */

import type * as z from "zod";
import { isSafeMode } from "../../lib/safe-mode.ts";
import type { RecordDeployment } from "../../registry/types.ts";
import { decide } from "../../router/decide.ts";
import { givenBy } from "../../router/given.ts";
import { hashKey } from "../../router/hash.ts";
import { requestWith } from "../../router/signals.ts";
import { compileSplit } from "../../router/split.ts";
import { servedBy } from "../../versions/safe-mode.ts";
import { cutMessage } from "../body.ts";
import { actorOf, type ControlContext, pageInfo, pageOf, registryFor, workerName } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";
import type { deploymentBody } from "../schemas.ts";
import { showDeployment } from "../view.ts";

/**
 * POST …/deployments. `?dry_run=true` only checks the deployment. `?replaces=` names the one that must be active, so that
 * nobody's change is overwritten.
 */
export async function createDeployment(
  c: ControlContext,
  body: z.output<typeof deploymentBody>,
): Promise<Response> {
  const { versions, annotations } = body;
  const input: RecordDeployment = {
    actor: actorOf(c),
    shares: versions.map(({ version_id, percentage }) => ({ version_id, percentage })),
    message: cutMessage(annotations?.["workers/message"]),
    force: c.req.query("force") === "true",
    replaces: c.req.query("replaces") ?? null,
  };
  if (c.req.query("dry_run") === "true") {
    const checked = await registryFor(c).tryDeployment(workerName(c), input);
    return respond(checked, (shares) => ({ versions: shares }));
  }
  const recorded = await registryFor(c).recordDeployment(workerName(c), input);
  return respond(recorded, showDeployment);
}

/** GET …/deployments, newest first: the first is active. `?page=` and `?per_page=` page through all of them. */
export async function listDeployments(c: ControlContext): Promise<Response> {
  const page = pageOf(c);
  if (page !== undefined) {
    const found = await registryFor(c).deploymentPage(page);
    const deployments = found.items.map((each) => ({ ...showDeployment(each), versions: each.versions }));
    return success({ deployments }, pageInfo(page, found));
  }
  const deployments = await registryFor(c).deployments();
  return success({ deployments: deployments.map(showDeployment) });
}

export async function getDeployment(c: ControlContext): Promise<Response> {
  const id = c.req.param("deployment") ?? "";
  const deployment = await registryFor(c).deployment(id);
  return deployment === undefined
    ? failure({ reason: "deployment-not-found", worker: workerName(c), deployment: id })
    : success(showDeployment(deployment));
}

/** GET …/explain?key=K[&override=V]: what the router decides for such a request. Runs the router's own code. */
export async function explain(c: ControlContext): Promise<Response> {
  const record = await registryFor(c).record();
  if (record === undefined) return failure({ reason: "no-deployment", worker: workerName(c) });
  const key = c.req.query("key") || undefined;
  const override = c.req.query("override") || undefined;
  if (key === undefined && override === undefined) {
    return failure({
      reason: "body-invalid",
      detail: "name a request key, ?key=K, or a version, ?override=ID",
    });
  }
  const split = compileSplit(servedBy(c.env)(record));
  const signals = { ...(key === undefined ? {} : { key }), ...(override === undefined ? {} : { override }) };
  const { version, reason } = decide(split, requestWith(record.worker, signals), givenBy("", false));
  return success({
    worker: record.worker,
    deployment_id: record.deployment_id,
    version_id: version.version_id,
    version_number: version.number,
    reason,
    key: key ?? null,
    hash: key === undefined ? null : hashKey(split.seed, key),
    seed: split.seed.text,
    boundary: split.threshold,
    candidate_version_id: split.candidate.version.version_id,
    safe_mode: isSafeMode(c.env),
    versions: record.versions,
  });
}
