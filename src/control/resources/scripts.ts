/** What belongs to a Worker and not to a version: metadata, settings, the workers.dev switch, deletion, triggers. */
import { z } from "zod";
import type { SluiceError } from "../../errors.ts";
import type { Result } from "../../result.ts";
import { redact } from "../../versions/bindings/index.ts";
import type { WorkerState } from "../../versions/sql.ts";
import type { Settings } from "../../versions/types.ts";
import { type ControlContext, overviewOf, readBody, registryOf, workerName } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";
import { settingsBody, subdomainBody } from "../schemas.ts";
import { showService, showSettings, workerUrl } from "../view.ts";

export async function getService(c: ControlContext): Promise<Response> {
  return respond(await overviewOf(c), showService);
}

export async function deleteService(c: ControlContext): Promise<Response> {
  const removed = await registryOf(c).remove(workerName(c));
  return respond(removed as Result<null, SluiceError>, () => null);
}

/** GET …/workers/workers/{worker}: where wrangler 4.164 reads the URL that it prints. */
export async function getWorker(c: ControlContext): Promise<Response> {
  return respond(await overviewOf(c), ({ worker }) => ({
    id: worker.tag,
    name: worker.name,
    created_on: worker.created_on,
    tags: worker.settings.tags ?? [],
    logpush: worker.settings.logpush,
    observability: worker.settings.observability ?? { enabled: false },
    subdomain: { enabled: worker.enabled, previews_enabled: false, url: workerUrl(worker.name, c.env) },
  }));
}

/** GET …/settings: of the latest version and the Worker together. */
export async function getSettings(c: ControlContext): Promise<Response> {
  return respond(await overviewOf(c), ({ worker, latest }) => ({
    ...showSettings(worker.settings),
    bindings: latest.bindings.map(redact),
    compatibility_date: latest.compatibility_date,
    compatibility_flags: latest.compatibility_flags,
    usage_model: "standard",
  }));
}

export async function getScriptSettings(c: ControlContext): Promise<Response> {
  return respond(await overviewOf(c), ({ worker }) => showSettings(worker.settings));
}

export async function patchScriptSettings(c: ControlContext): Promise<Response> {
  const body = await readBody(c, settingsBody);
  if (!body.ok) return failure(body.error);
  const { tags, logpush, observability, tail_consumers, streaming_tail_consumers } = body.value;
  if (logpush === true) {
    return failure({
      reason: "unsupported",
      feature: "Logpush",
      advice: "remove `logpush` from the configuration",
    });
  }
  if ((tail_consumers?.length ?? 0) > 0 || (streaming_tail_consumers?.length ?? 0) > 0) {
    const advice = "remove `tail_consumers` from the configuration";
    return failure({ reason: "unsupported", feature: "tail consumers", advice });
  }
  const change: Partial<Settings> = {
    ...(tags === undefined ? {} : { tags }),
    ...(observability === undefined ? {} : { observability }),
  };
  const updated = await registryOf(c).updateSettings(workerName(c), change);
  return respond(updated as Result<Settings, SluiceError>, showSettings);
}

const showSubdomain = (enabled: boolean) => ({ enabled, previews_enabled: false });

export async function getSubdomain(c: ControlContext): Promise<Response> {
  return respond(await overviewOf(c), ({ worker }) => showSubdomain(worker.enabled));
}

/** POST …/subdomain: whether `<worker>.<domain>` serves. */
export async function setSubdomain(c: ControlContext): Promise<Response> {
  const body = await readBody(c, subdomainBody);
  if (!body.ok) return failure(body.error);
  if (body.value.previews_enabled === true) {
    return failure({
      reason: "unsupported",
      feature: "preview URLs",
      advice: "set `preview_urls = false`; a version at 0% can be tried with the version-overrides header",
    });
  }
  const state = await registryOf(c).setEnabled(workerName(c), body.value.enabled);
  return respond(state as Result<WorkerState, SluiceError>, ({ enabled }) => showSubdomain(enabled));
}

/** PUT of a list of triggers that this release does not run: clearing it is fine, filling it is refused by name. */
export function refuseTriggers(feature: string) {
  return async (c: ControlContext): Promise<Response> => {
    const overview = await overviewOf(c);
    if (!overview.ok) return failure(overview.error);
    const triggers = await readBody(c, z.array(z.unknown()));
    if (!triggers.ok) return failure(triggers.error);
    if (triggers.value.length === 0) return success([]);
    return failure({ reason: "unsupported", feature, advice: "remove them from the configuration" });
  };
}

/** What may depend on the Worker: nothing can, in this release. */
export async function getReferences(c: ControlContext): Promise<Response> {
  return respond(await overviewOf(c), () => ({}));
}

export async function getTailProducers(c: ControlContext): Promise<Response> {
  return respond(await overviewOf(c), () => []);
}
