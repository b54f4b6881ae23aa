/** What belongs to a Worker and not to a version: metadata, settings, the workers.dev switch, deletion. */
import type * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import { schedulerOf } from "../../events/scheduler.ts";
import { hubOf } from "../../events/tail.ts";
import { LIMITS } from "../../lib/limits.ts";
import type { WorkerOverview } from "../../registry/types.ts";
import { redact } from "../../versions/bindings.ts";
import { previewsOf } from "../../versions/preview.ts";
import type { Settings, WorkerState } from "../../versions/types.ts";
import {
  actorOf,
  allWorkers,
  type ControlContext,
  overviewOf,
  pageInfo,
  pageOf,
  registryFor,
  workerName,
} from "../context.ts";
import { failure, respond, success, successOfPage } from "../envelope.ts";
import type { settingsBody, subdomainBody } from "../schemas.ts";
import { showService, showSettings, workerUrl } from "../view.ts";

export function getService(overview: WorkerOverview): Response {
  return success(showService(overview));
}

/** Routes, crons and tails go first: if the process dies in between, the Worker exists and can be deleted again. */
export async function deleteService(c: ControlContext): Promise<Response> {
  const worker = workerName(c);
  await Promise.all([
    accountOf(c.env).forgetWorker(worker),
    schedulerOf(c.env, worker).clear(),
    hubOf(c.env, worker).closeAll(),
  ]);
  const removed = await registryFor(c).remove(actorOf(c), worker);
  return respond(removed, () => null);
}

/** GET …/workers/scripts: all Workers, by name, with their deployments. `?search=` filters by a part of the name. */
export async function listScripts(c: ControlContext): Promise<Response> {
  const found = await allWorkers(c.env);
  const search = c.req.query("search") ?? "";
  return successOfPage(
    [...found]
      .filter(([id]) => id.includes(search))
      .map(([id, summary]) => ({
        id,
        created_on: summary.created_on,
        modified_on: summary.deployed_on,
        enabled: summary.enabled,
        deployment_id: summary.deployment_id,
        versions: summary.versions,
        rollout: summary.rollout,
      })),
    c.req.query("page"),
    c.req.query("per_page") ?? String(LIMITS.lists.maxPageSize),
  );
}

/** GET …/audit: who did what to the Worker, newest first. The audit trail outlives the Worker. */
export async function listAudit(c: ControlContext): Promise<Response> {
  const page = pageOf(c) ?? { page: 1, limit: LIMITS.lists.pageSize, offset: 0 };
  const found = await registryFor(c).audit(page);
  if (found.total === 0) {
    const overview = await overviewOf(c);
    if (!overview.ok) return failure(overview.error);
  }
  const entries = found.items.map(({ author, ...entry }) => ({ ...entry, author_email: author.email }));
  return success(entries, pageInfo(page, found));
}

/** GET …/workers/workers/{worker}: where wrangler 4.164 reads the URL that it prints. */
export function getWorker(c: ControlContext, overview: WorkerOverview): Response {
  const { worker } = overview;
  return success({
    id: worker.tag,
    name: worker.name,
    created_on: worker.created_on,
    tags: worker.settings.tags ?? [],
    logpush: worker.settings.logpush,
    observability: worker.settings.observability ?? { enabled: false },
    subdomain: {
      ...showSubdomain(worker),
      url: workerUrl(worker.name, c.env),
      // wrangler puts a version's short id, or an alias, in front of it.
      preview_url_suffix: `-${new URL(workerUrl(worker.name, c.env)).host}`,
    },
  });
}

/** GET …/settings: the settings of the Worker and of its latest version in one object. */
export function getSettings(overview: WorkerOverview): Response {
  const { worker, latest } = overview;
  return success({
    ...showSettings(worker.settings),
    bindings: latest.bindings.map(redact),
    compatibility_date: latest.compatibility_date,
    compatibility_flags: latest.compatibility_flags,
    usage_model: "standard",
  });
}

export function getScriptSettings(overview: WorkerOverview): Response {
  const { worker } = overview;
  return success(showSettings(worker.settings));
}

export async function patchScriptSettings(
  c: ControlContext,
  body: z.output<typeof settingsBody>,
): Promise<Response> {
  const { tags, logpush, observability, tail_consumers, streaming_tail_consumers } = body;
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
  const updated = await registryFor(c).updateSettings(actorOf(c), workerName(c), change);
  return respond(updated, showSettings);
}

const showSubdomain = (worker: WorkerState) => ({
  enabled: worker.enabled,
  previews_enabled: previewsOf(worker),
});

export function getSubdomain(overview: WorkerOverview): Response {
  const { worker } = overview;
  return success(showSubdomain(worker));
}

/** POST …/subdomain: switches `<worker>.<domain>` and the hostnames of single versions, which follow it by default. */
export async function setSubdomain(
  c: ControlContext,
  body: z.output<typeof subdomainBody>,
): Promise<Response> {
  const { enabled, previews_enabled = null } = body;
  const state = await registryFor(c).setSubdomain(actorOf(c), workerName(c), enabled, previews_enabled);
  return respond(state, showSubdomain);
}

/** What depends on the Worker: this release tracks nothing. */
export function getReferences(): Response {
  return success({});
}

export function getTailProducers(): Response {
  return success([]);
}
