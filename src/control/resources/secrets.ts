/** `…/scripts/{worker}/secrets`. A change deploys a new version, so the latest version must serve all traffic. */
import type * as z from "zod";
import type { SluiceError } from "../../lib/errors.ts";
import { err, type Result } from "../../lib/result.ts";
import type { WorkerOverview } from "../../registry/types.ts";
import type { SecretChanges } from "../../versions/bindings.ts";
import { latestServesAlone } from "../../versions/deployment.ts";
import type { Version } from "../../versions/types.ts";
import { type ControlContext, workerName } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";
import type { bulkSecretsBody, secretBody } from "../schemas.ts";
import { storeWithSecrets } from "../upload/store.ts";
import { showSecrets } from "../view.ts";
import { destinationOf } from "./versions.ts";

export function listSecrets({ latest }: WorkerOverview): Response {
  return success(showSecrets(latest));
}

export async function putSecret(
  c: ControlContext,
  overview: WorkerOverview,
  body: z.output<typeof secretBody>,
): Promise<Response> {
  const { name, text } = body;
  const changed = await changeInPlace(c, overview, { [name]: text }, `Updated secret "${name}"`);
  return respond(changed, () => ({ name, type: "secret_text" }));
}

export async function deleteSecret(c: ControlContext, overview: WorkerOverview): Promise<Response> {
  const name = c.req.param("secret") ?? "";
  const changed = await changeInPlace(c, overview, { [name]: null }, `Deleted secret "${name}"`);
  return changed.ok ? success(null) : failure(changed.error);
}

export async function bulkSecrets(
  c: ControlContext,
  overview: WorkerOverview,
  body: z.output<typeof bulkSecretsBody>,
): Promise<Response> {
  const secrets = Object.entries(body.secrets);
  const changes = Object.fromEntries(secrets.map(([name, secret]) => [name, secret?.text ?? null]));
  const changed = await changeInPlace(c, overview, changes, `Bulk updated ${secrets.length} secrets`);
  return respond(changed, showSecrets);
}

async function changeInPlace(
  c: ControlContext,
  overview: WorkerOverview,
  changes: SecretChanges,
  message: string,
): Promise<Result<Version, SluiceError>> {
  const { latest, active } = overview;
  if (!latestServesAlone(latest, active))
    return err({ reason: "latest-not-deployed", worker: workerName(c) });
  return storeWithSecrets(destinationOf(c), latest, changes, {
    triggered_by: "secret",
    message,
    tag: null,
    deploy: { triggered_by: "secret", message },
    replaces: active?.id ?? null,
  });
}
