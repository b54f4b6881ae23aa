/** Stored records as Cloudflare's API shows them. wrangler reads every one of these fields. Pure. */
import { encodeBase64 } from "hono/utils/encode";
import type { WorkerOverview } from "../registry/types.ts";
import { redact } from "../versions/bindings.ts";
import type { Deployment, Module, Settings, Version } from "../versions/types.ts";

function annotations(fields: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).filter((field): field is [string, string] => field[1] !== null),
  );
}

/** Content types of modules, the same as in uploads. */
const MEDIA_TYPES: Readonly<Record<Module["type"], string>> = {
  js: "application/javascript+module",
  cjs: "application/javascript",
  wasm: "application/wasm",
  text: "text/plain",
  data: "application/octet-stream",
  json: "application/json",
  sourcemap: "application/source-map",
};

/** @param hasPreview whether the version has a hostname of its own */
export function showVersion(version: Version, hasPreview: boolean): Record<string, unknown> {
  return {
    id: version.id,
    number: version.number,
    metadata: {
      created_on: version.created_on,
      modified_on: version.created_on,
      source: version.source,
      author_id: version.author.id,
      author_email: version.author.email,
      has_preview: hasPreview,
    },
    annotations: annotations({
      "workers/triggered_by": version.triggered_by,
      "workers/message": version.message,
      "workers/tag": version.tag,
      "workers/alias": version.alias,
    }),
    resources: {
      bindings: version.bindings.map(redact),
      script: {
        etag: version.etag,
        handlers: version.inspection.handlers,
        named_handlers: version.inspection.named_handlers,
        last_deployed_from: version.source,
      },
      script_runtime: {
        compatibility_date: version.compatibility_date,
        compatibility_flags: version.compatibility_flags,
        usage_model: "standard",
        limits: {},
      },
    },
    startup_time_ms: version.inspection.startup_time_ms,
  };
}

/** Under Cloudflare's names for `?include=modules`. */
export function showModule({ name, type, bytes }: Module): Record<string, unknown> {
  return { name, content_type: MEDIA_TYPES[type], content_base64: encodeBase64(bytes.slice().buffer) };
}

export function showDeployment(deployment: Deployment): Record<string, unknown> {
  return {
    id: deployment.id,
    source: deployment.source,
    strategy: "percentage",
    author_email: deployment.author.email,
    created_on: deployment.created_on,
    annotations: annotations({
      "workers/triggered_by": deployment.triggered_by,
      "workers/message": deployment.message,
    }),
    versions: deployment.versions.map(({ version_id, percentage }) => ({ version_id, percentage })),
  };
}

export function showSettings({ tags, logpush, observability }: Settings): Record<string, unknown> {
  return { logpush, tags, tail_consumers: null, streaming_tail_consumers: null, observability };
}

export function showSecrets(version: Version): { name: string; type: string }[] {
  return version.bindings
    .filter(({ type }) => type === "secret_text")
    .map(({ name, type }) => ({ name, type }));
}

export function showService({
  worker,
  latest,
  lifecycle,
}: Pick<WorkerOverview, "worker" | "latest" | "lifecycle">): Record<string, unknown> {
  return {
    id: worker.name,
    created_on: worker.created_on,
    modified_on: latest.created_on,
    default_environment: {
      environment: "production",
      created_on: worker.created_on,
      modified_on: latest.created_on,
      script: {
        id: worker.name,
        tag: worker.tag,
        tags: worker.settings.tags,
        etag: latest.etag,
        handlers: latest.inspection.handlers,
        compatibility_date: latest.compatibility_date,
        usage_model: "standard",
        ...(lifecycle.tag === null ? {} : { migration_tag: lifecycle.tag }),
        // wrangler asks for confirmation, or downloads a configuration, when this is "api" or "dash".
        last_deployed_from: "wrangler",
      },
    },
  };
}

/** URL of a Worker on the traffic side. */
export function workerUrl(
  worker: string,
  env: { SLUICE_TRAFFIC_ORIGIN: string; SLUICE_DOMAIN: string },
): string {
  return env.SLUICE_TRAFFIC_ORIGIN.replace(env.SLUICE_DOMAIN, `${worker}.${env.SLUICE_DOMAIN}`);
}
