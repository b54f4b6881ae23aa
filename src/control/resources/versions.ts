/** `…/scripts/{worker}/versions`, the script itself, and `…/workers/{worker}/versions/latest`. */

import type * as z from "zod";
import type { WorkerOverview } from "../../registry/types.ts";
import { SERVICE_WORKER_MODULE } from "../../versions/names.ts";
import { previewsOf } from "../../versions/preview.ts";
import { cutMessage } from "../body.ts";
import { actorOf, type ControlContext, pageInfo, pageOf, registryFor, workerName } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";
import type { versionPatch } from "../schemas.ts";
import type { Destination } from "../upload/draft.ts";
import { readUpload } from "../upload/index.ts";
import { readStored, storeDraft, storeWithSecrets } from "../upload/store.ts";
import { showModule, showVersion } from "../view.ts";

export function destinationOf(c: ControlContext): Destination {
  return { env: c.env, registry: registryFor(c), worker: workerName(c), actor: actorOf(c) };
}

/** POST …/versions: uploads a version. Traffic does not change. */
export async function uploadVersion(c: ControlContext, overview: WorkerOverview): Promise<Response> {
  const draft = await readUpload(c.req.raw);
  if (!draft.ok) return failure(draft.error);
  if (draft.value.migrations !== null) return failure({ reason: "migration-in-version" });
  if (draft.value.main_module === SERVICE_WORKER_MODULE) return failure({ reason: "script-in-version" });
  const stored = await storeDraft(destinationOf(c), draft.value, overview, {
    triggered_by: "version_upload",
    deploy: null,
    replaces: null,
  });
  const hasPreview = previewsOf(overview.worker);
  return respond(stored, (version) => showVersion(version, hasPreview));
}

/** PUT …/scripts/{worker}: uploads a version and deploys it at 100%. Creates the Worker if needed. */
export async function putScript(c: ControlContext): Promise<Response> {
  const overview = await registryFor(c).overview();
  const draft = await readUpload(c.req.raw);
  if (!draft.ok) return failure(draft.error);
  const stored = await storeDraft(destinationOf(c), draft.value, overview, {
    triggered_by: "upload",
    deploy: { triggered_by: "upload", message: draft.value.message ?? "Automatic deployment on upload." },
    replaces: null,
  });
  return respond(stored, (version) => ({
    id: workerName(c),
    etag: version.etag,
    handlers: version.inspection.handlers,
    // wrangler reads the version's id from this field.
    deployment_id: version.id,
    startup_time_ms: version.inspection.startup_time_ms,
  }));
}

/** GET …/versions, newest first: the deployable ones, or any page of all versions with `?page=` and `?per_page=`. */
export async function listVersions(c: ControlContext, overview: WorkerOverview): Promise<Response> {
  const hasPreview = previewsOf(overview.worker);
  const page = pageOf(c);
  if (page !== undefined) {
    const found = await registryFor(c).versionPage(page);
    const items = found.items.map((version) => showVersion(version, hasPreview));
    return success({ items }, pageInfo(page, found));
  }
  const versions = await registryFor(c).versions();
  return success({ items: versions.map((version) => showVersion(version, hasPreview)) });
}

/** GET …/versions/{version}. `?include=modules` adds its code. */
export async function getVersion(c: ControlContext, overview: WorkerOverview): Promise<Response> {
  const id = c.req.param("version") ?? "";
  const version = await registryFor(c).version(id);
  if (version === undefined) {
    return failure({ reason: "version-not-found", worker: workerName(c), version: id });
  }
  const shown = showVersion(version, previewsOf(overview.worker));
  if (c.req.query("include") !== "modules") return success(shown);
  const stored = await readStored(c.env, workerName(c), id);
  if (!stored.ok) return failure(stored.error);
  return success({
    ...shown,
    main_module: version.main_module,
    modules: stored.value.modules.map(showModule),
  });
}

/** PATCH …/workers/{worker}/versions/latest: copies the latest version with other secrets. Traffic stays. */
export async function patchLatestVersion(
  c: ControlContext,
  overview: WorkerOverview,
  body: z.output<typeof versionPatch>,
): Promise<Response> {
  const { env, annotations } = body;
  if (env === undefined) {
    return failure({ reason: "body-invalid", detail: "env is missing; name the secrets to change in it" });
  }
  const changes = Object.fromEntries(
    Object.entries(env).map(([name, secret]) => [name, secret?.text ?? null]),
  );
  const stored = await storeWithSecrets(destinationOf(c), overview.latest, changes, {
    triggered_by: "secret",
    message: cutMessage(annotations?.["workers/message"]),
    tag: annotations?.["workers/tag"] || null,
    deploy: null,
    replaces: null,
  });
  const hasPreview = previewsOf(overview.worker);
  return respond(stored, (version) => showVersion(version, hasPreview));
}
