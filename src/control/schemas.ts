/** The bodies that the API accepts. Unknown keys pass, because other releases of wrangler send more. */
import * as z from "zod";
import type { SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { RESERVED_PREFIX } from "../versions/names.ts";
import { ALIAS } from "../versions/preview.ts";

/** A name for a property of `env`, so not `__proto__`: setting that does not add a property. */
const bindingName = z
  .string()
  .min(1, { error: "a binding needs a name" })
  .refine((name) => name !== "__proto__", { error: "__proto__ cannot be the name of a binding" });

/** Whether a JSON value is defined, and not nested too deeply to walk it. */
function isReasonable(json: unknown): boolean {
  let level = [json];
  for (let depth = 0; depth <= LIMITS.uploads.maxJsonDepth; depth++) {
    level = level.flatMap((value) =>
      typeof value === "object" && value !== null ? Object.values(value) : [],
    );
    if (level.length === 0) return json !== undefined;
  }
  return false;
}

const annotations = z
  .looseObject({
    "workers/message": z.string().nullish(),
    "workers/tag": z
      .string()
      .max(LIMITS.uploads.maxTagLength, {
        error: `a tag has at most ${LIMITS.uploads.maxTagLength} characters`,
      })
      .nullish(),
    "workers/alias": z
      .string()
      .regex(ALIAS, {
        error: "an alias has lower-case letters, digits and -, and begins with a letter",
      })
      .nullish(),
  })
  .nullish();

export const deploymentBody = z.looseObject({
  strategy: z.literal("percentage").optional(),
  versions: z.array(z.looseObject({ version_id: z.string().min(1), percentage: z.number() })),
  annotations,
});

/** A class is exported under its name, so the name must be an identifier. */
const className = z.string().regex(/^[A-Za-z_$][\w$]{0,127}$/, { error: "must be the name of a class" });

const migrationStep = z.looseObject({
  new_classes: z.array(className).optional(),
  new_sqlite_classes: z.array(className).optional(),
  renamed_classes: z.array(z.looseObject({ from: className, to: className })).optional(),
  deleted_classes: z.array(className).optional(),
  transferred_classes: z.array(z.unknown()).optional(),
});

const migrations = z.looseObject({
  old_tag: z.string().optional(),
  new_tag: z.string().optional(),
  steps: z.array(migrationStep),
});

/** How assets are served. */
const assetsConfig = z.looseObject({
  html_handling: z
    .enum(["auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"])
    .optional(),
  not_found_handling: z.enum(["single-page-application", "404-page", "none"]).optional(),
  base_path: z
    .string()
    .regex(/^\/(?:[\w.~-]+\/)*(?:[\w.~-]+)?$/, { error: "must be a path of letters, digits, -, _, . and ~" })
    .transform((path) => (path === "/" ? path : path.replace(/\/$/, "")))
    .optional(),
  run_worker_first: z
    .union([
      z.boolean(),
      z
        .array(
          z
            .string()
            .regex(/^!?\//, { error: "a rule begins with / or !/" })
            .max(LIMITS.assets.maxWorkerFirstRules),
        )
        .max(LIMITS.assets.maxWorkerFirstRules),
    ])
    .optional(),
  _headers: z.string().optional(),
  _redirects: z.string().optional(),
});

const date = z.iso.date({ error: "must be a date like 2026-11-17" });

/** The `metadata` part of an upload. upload/index.ts refuses the features that Sluice does not have. */
export const uploadMetadata = z.looseObject({
  main_module: z.string().min(1).optional(),
  body_part: z.string().optional(),
  compatibility_date: date.optional(),
  compatibility_flags: z.array(z.string()).nullish(),
  bindings: z.array(z.looseObject({ type: z.string().min(1), name: bindingName })).nullish(),
  keep_bindings: z.array(z.string()).nullish(),
  annotations,
  migrations: migrations.nullish(),
  assets: z.looseObject({ jwt: z.string(), config: assetsConfig.nullish() }).nullish(),
  keep_assets: z.boolean().nullish(),
  logpush: z.boolean().nullish(),
  observability: z.record(z.string(), z.unknown()).nullish(),
  tags: z.array(z.string()).nullish(),
});
export type UploadMetadata = z.infer<typeof uploadMetadata>;

const plainTextBinding = z.object({
  type: z.literal("plain_text"),
  name: z.string(),
  text: z.string(),
});
const jsonBinding = z.object({
  type: z.literal("json"),
  name: z.string(),
  json: z.unknown().refine(isReasonable, {
    error: `json must be present, and nested at most ${LIMITS.uploads.maxJsonDepth} levels deep`,
  }),
});
const secretBinding = z.object({ type: z.literal("secret_text"), name: z.string(), text: z.string() });
const versionMetadataBinding = z.object({ type: z.literal("version_metadata"), name: z.string() });
const inheritBinding = z.object({
  type: z.literal("inherit"),
  name: z.string(),
  old_name: z.string().optional(),
  version_id: z.literal("latest", { error: "only the latest version can be inherited from" }).optional(),
});
const resourceId = z
  .string()
  .regex(/^[\w-]{1,64}$/, { error: "must be an id of 1 to 64 letters, digits, - and _" });

const kvBinding = z.object({
  type: z.literal("kv_namespace"),
  name: z.string(),
  namespace_id: resourceId,
});
/** Cloudflare's rule (https://developers.cloudflare.com/r2/buckets/create-buckets/). */
export const bucketName = z.string().regex(/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/, {
  error: "must be 3 to 63 lower-case letters, digits and -, beginning and ending with a letter or digit",
});
const r2Binding = z.object({
  type: z.literal("r2_bucket"),
  name: z.string(),
  bucket_name: bucketName,
});
/** Cloudflare's rule for the names of queues. */
export const queueName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$|^[a-z0-9]$/i, {
  error: "must be 1 to 63 letters, digits and -, beginning and ending with a letter or digit",
});
const queueBinding = z.object({
  type: z.literal("queue"),
  name: z.string(),
  queue_name: queueName,
  delivery_delay: z.number().int().min(0).max(86_400).optional(),
});
/** Name of a dataset of Analytics Engine. */
export const datasetName = z
  .string()
  .regex(/^[A-Za-z_][\w-]{0,127}$/, { error: "must be a name of letters, digits, - and _" });
const analyticsBinding = z.object({
  type: z.literal("analytics_engine"),
  name: z.string(),
  dataset: datasetName.optional(),
});
const rateLimitBinding = z.object({
  type: z.literal("ratelimit"),
  name: z.string(),
  namespace_id: z.coerce.string(),
  simple: z.object({
    limit: z.number().int().min(1),
    period: z.union([z.literal(10), z.literal(60)], { error: "a period is 10 or 60 seconds" }),
  }),
});
const assetsBinding = z.object({ type: z.literal("assets"), name: z.string() });
const d1Binding = z.object({ type: z.literal("d1"), name: z.string(), id: resourceId });
const objectsBinding = z.object({
  type: z.literal("durable_object_namespace"),
  name: z.string(),
  class_name: className,
  script_name: z.string().optional(),
});
const serviceBinding = z.object({
  type: z.literal("service"),
  name: z.string(),
  service: z.string().min(1),
  entrypoint: z
    .string()
    .refine((name) => !name.startsWith(RESERVED_PREFIX), { error: `must not begin with ${RESERVED_PREFIX}` })
    .optional(),
  props: z.record(z.string(), z.unknown()).optional(),
});
export const knownBinding = z.discriminatedUnion("type", [
  plainTextBinding,
  jsonBinding,
  secretBinding,
  versionMetadataBinding,
  kvBinding,
  r2Binding,
  d1Binding,
  assetsBinding,
  queueBinding,
  analyticsBinding,
  rateLimitBinding,
  objectsBinding,
  serviceBinding,
  inheritBinding,
]);

/** Names of headers and cookies are tokens (RFC 9110, 5.6.2). */
export const fieldName = z
  .string()
  .regex(/^[\w!#$%&'*+.^`|~-]{1,100}$/, { error: "must be the name of a header or cookie" });

const secretName = bindingName;

export const secretBody = z.looseObject({
  name: secretName,
  text: z.string(),
  type: z.literal("secret_text", { error: "only secrets of type secret_text are supported" }).optional(),
});

const secretChange = z
  .looseObject({
    type: z.literal("secret_text", { error: "only secrets of type secret_text are supported" }).optional(),
    text: z.string(),
  })
  .nullable();

const bulk = z
  .record(secretName, secretChange)
  .refine((secrets) => Object.keys(secrets).length <= LIMITS.uploads.maxBulkSecrets, {
    error: `at most ${LIMITS.uploads.maxBulkSecrets} secrets can be changed at once`,
  });

export const bulkSecretsBody = z.looseObject({ secrets: bulk });

/** Merge patch of `…/versions/latest`, from `wrangler versions secret`. */
export const versionPatch = z.looseObject({ env: bulk.optional(), annotations });

export const subdomainBody = z.looseObject({
  enabled: z.boolean(),
  previews_enabled: z.boolean().nullish(),
});

export const settingsBody = z.looseObject({
  tags: z.array(z.string()).nullish(),
  logpush: z.boolean().nullish(),
  observability: z.record(z.string(), z.unknown()).nullish(),
  tail_consumers: z.array(z.unknown()).nullish(),
  streaming_tail_consumers: z.array(z.unknown()).nullish(),
});

const assetFile = z.looseObject({
  hash: z.string().regex(/^[0-9a-f]{32}$/, { error: "a hash is 32 hexadecimal digits" }),
  size: z
    .number()
    .int()
    .min(0)
    .max(LIMITS.assets.maxAssetBytes, {
      error: `a file has at most ${LIMITS.assets.maxAssetBytes / 1024 / 1024} MiB`,
    }),
});

export const assetsManifest = z.looseObject({
  manifest: z
    .record(z.string().startsWith("/", { error: "a path begins with /" }), assetFile)
    .refine((files) => Object.keys(files).length <= LIMITS.assets.maxAssetFiles, {
      error: `a version has at most ${LIMITS.assets.maxAssetFiles} files`,
    }),
});

/** Parses JSON and checks it against a schema. */
export function parseJson<T>(text: string, schema: z.ZodType<T>): Result<T, SluiceError> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return err({ reason: "body-invalid", detail: `it is not JSON (${(error as Error).message})` });
  }
  return check(value, schema);
}

export function check<T>(value: unknown, schema: z.ZodType<T>): Result<T, SluiceError> {
  const parsed = schema.safeParse(value);
  return parsed.success ? ok(parsed.data) : err({ reason: "body-invalid", detail: explain(parsed.error) });
}

function explain(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => {
      const message =
        issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
      return issue.path.length === 0 ? message : `${issue.path.map(String).join(".")}: ${message}`;
    })
    .join("; ");
}
