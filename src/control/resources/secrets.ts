/** `…/scripts/{worker}/secrets`: each change makes a version and deploys it, so the latest one must be the one that serves. */
import type { SluiceError } from "../../lib/errors.ts";
import { err, type Result } from "../../lib/result.ts";
import type { SecretChanges } from "../../versions/bindings.ts";
import { latestServesAlone } from "../../versions/deployment.ts";
import type { Version } from "../../versions/types.ts";
import { type ControlContext, overviewOf, readBody, workerName } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";
import { bulkSecretsBody, secretBody } from "../schemas.ts";
import { storeWithSecrets } from "../upload/store.ts";
import { showSecrets } from "../view.ts";
import { destinationOf } from "./versions.ts";

export async function listSecrets(c: ControlContext): Promise<Response> {
  const overview = await overviewOf(c);
  return respond(overview, ({ latest }) => showSecrets(latest));
}

export async function putSecret(c: ControlContext): Promise<Response> {
  const body = await readBody(c, secretBody);
  if (!body.ok) return failure(body.error);
  const { name, text } = body.value;
  const changed = await changeInPlace(c, { [name]: text }, `Updated secret "${name}"`);
  return respond(changed, () => ({ name, type: "secret_text" }));
}

export async function deleteSecret(c: ControlContext): Promise<Response> {
  const name = c.req.param("secret") ?? "";
  const changed = await changeInPlace(c, { [name]: null }, `Deleted secret "${name}"`);
  return changed.ok ? success(null) : failure(changed.error);
}

export async function bulkSecrets(c: ControlContext): Promise<Response> {
  const body = await readBody(c, bulkSecretsBody);
  if (!body.ok) return failure(body.error);
  const secrets = Object.entries(body.value.secrets);
  const changes = Object.fromEntries(secrets.map(([name, secret]) => [name, secret?.text ?? null]));
  const changed = await changeInPlace(c, changes, `Bulk updated ${secrets.length} secrets`);
  return respond(changed, showSecrets);
}

async function changeInPlace(
  c: ControlContext,
  changes: SecretChanges,
  message: string,
): Promise<Result<Version, SluiceError>> {
  const overview = await overviewOf(c);
  if (!overview.ok) return overview;
  const { latest, active } = overview.value;
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
