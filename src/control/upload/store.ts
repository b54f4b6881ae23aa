/** Makes a new version: resolve, validate, store the code, record. Nothing is stored before validation. */
import { utf8 } from "../../lib/bytes.ts";
import type { Env } from "../../lib/env.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { LIMITS } from "../../lib/limits.ts";
import { log } from "../../lib/log.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { sha256Hex } from "../../lib/secrets.ts";
import { registryOf } from "../../registry/index.ts";
import type { RecordVersion, WorkerOverview } from "../../registry/types.ts";
import { missingClasses } from "../../runtime/inspect.ts";
import type { Binding } from "../../versions/binding-types.ts";
import { changeSecrets, resolveBindings, type SecretChanges } from "../../versions/bindings.ts";
import { decodeBlob, encodeBlob, type VersionBlob } from "../../versions/blob.ts";
import { type Lifecycle, migrate, namespacesByClass } from "../../versions/classes.ts";
import { previewKey } from "../../versions/keys.ts";
import { RESERVED_PREFIX } from "../../versions/names.ts";
import { previewLabel } from "../../versions/preview.ts";
import type { PreviewRecord } from "../../versions/record.ts";
import { readVersion, writeVersion } from "../../versions/replica.ts";
import type { Version } from "../../versions/types.ts";
import { type PreparedAssets, prepareAssets, storeAssets } from "./assets.ts";
import type { Destination, Draft } from "./draft.ts";
import { lookUp, provision } from "./provision.ts";
import { validate } from "./validate.ts";

type Recorded = Pick<RecordVersion, "deploy" | "replaces"> & {
  readonly triggered_by: Version["triggered_by"];
  readonly message: string | null;
  readonly tag: string | null;
};

/** A version that is about to be recorded: how it was made, and what changes with it. */
type Made = Recorded &
  Pick<Version, "alias"> &
  Pick<RecordVersion, "settings" | "lifecycle"> & { readonly assets: PreparedAssets | null };

/** Records an uploaded draft as the Worker's next version. */
export async function storeDraft(
  to: Destination,
  draft: Draft,
  overview: WorkerOverview | undefined,
  how: Pick<Recorded, "deploy" | "replaces" | "triggered_by">,
): Promise<Result<Version, SluiceError>> {
  const latest = overview?.latest;
  const lifecycle = applyMigrations(draft, overview?.lifecycle);
  if (!lifecycle.ok) return lifecycle;
  const uploaded = await lookUp(to.env, to.worker, draft.bindings, lifecycle.value);
  if (!uploaded.ok) return uploaded;
  const bindings = resolveBindings(uploaded.value, draft.keep_bindings, latest?.bindings ?? []);
  if (!bindings.ok) return bindings;
  const free = await checkAlias(to, draft.alias);
  if (!free.ok) return free;
  const assets = await prepareAssets(to, draft, latest);
  if (!assets.ok) return assets;
  const classes = namespacesByClass(lifecycle.value);
  const blob: VersionBlob = {
    header: {
      ...newHeader(to.worker, draft.tag),
      main_module: draft.main_module,
      compatibility_date: draft.compatibility_date,
      compatibility_flags: draft.compatibility_flags,
      bindings: bindings.value,
      has_default: false,
      ...(classes === undefined ? {} : { classes }),
      ...(assets.value === null ? {} : { assets: assets.value.of }),
    },
    modules: draft.modules,
  };
  const { message, tag, settings } = draft;
  const changed = draft.migrations === null ? null : lifecycle.value;
  const made = { ...how, message, tag, alias: draft.alias, assets: assets.value };
  return record(to, blob, latest, { ...made, settings, lifecycle: changed });
}

function applyMigrations(
  { migrations }: Draft,
  before: Lifecycle = { tag: null, classes: [] },
): Result<Lifecycle, SluiceError> {
  if (migrations === null) return ok(before);
  return migrate(before, migrations, newId);
}

/** Records a copy of `latest` with other secrets. */
export async function storeWithSecrets(
  to: Destination,
  latest: Version,
  changes: SecretChanges,
  how: Recorded,
): Promise<Result<Version, SluiceError>> {
  const bindings = changeSecrets(to.worker, latest.bindings, changes);
  if (!bindings.ok) return bindings;
  const stored = await readStored(to.env, to.worker, latest.id);
  if (!stored.ok) return stored;
  const { header, modules } = stored.value;
  const blob: VersionBlob = {
    header: { ...header, ...newHeader(to.worker, how.tag), bindings: bindings.value },
    modules,
  };
  const assets = latest.assets && { of: latest.assets, json: null };
  const made = { ...how, alias: null, assets, settings: {}, lifecycle: null };
  return record(to, blob, latest, made);
}

/** The code and bindings of a version. */
export async function readStored(
  env: Env,
  worker: string,
  version: string,
): Promise<Result<VersionBlob, SluiceError>> {
  const buffer = await readVersion(env.SLUICE_KV, version);
  if (buffer === null) return err({ reason: "code-unavailable", version });
  try {
    return ok(decodeBlob(buffer));
  } catch (error) {
    log("error", "version-corrupt", { worker, version, why: String(error) });
    return err({ reason: "code-unavailable", version });
  }
}

/** Refuses an alias whose hostname is too long or belongs to another Worker or version. */
async function checkAlias(
  { env, worker }: Destination,
  alias: string | null,
): Promise<Result<null, SluiceError>> {
  if (alias === null) return ok(null);
  const invalid = (detail: string) => err({ reason: "upload-invalid", detail } as const);
  const label = previewLabel(alias, worker);
  if (label.length > LIMITS.snapshot.maxLabelLength) {
    return invalid(
      `"${label}" has ${label.length} characters, but a part of a hostname has at most ${LIMITS.snapshot.maxLabelLength}: choose a shorter alias`,
    );
  }
  if ((await registryOf(env, label).overview()) !== undefined) {
    return invalid(
      `the alias "${alias}" would give it the hostname of the Worker "${label}": choose another one`,
    );
  }
  const taken = await env.SLUICE_KV.get<PreviewRecord>(previewKey(label), { type: "json" });
  if (taken !== null && taken.worker !== worker) {
    return invalid(
      `the alias "${alias}" would give it the hostname of a version of "${taken.worker}": choose another one`,
    );
  }
  return ok(null);
}

/**
 * Starts the version once, writes the code, then records the version. A copy with other secrets is started too, because
 * code may read secrets while it starts. If this process dies in between, the registry knows the key and deletes the
 * code. If another upload was recorded since `latest` was read, this one is refused.
 */
async function record(
  { env, registry, worker, actor }: Destination,
  blob: VersionBlob,
  latest: Version | undefined,
  how: Made,
): Promise<Result<Version, SluiceError>> {
  const { header, modules } = blob;
  const sized = checkEnvSize(header.bindings);
  if (!sized.ok) return sized;
  const inspection = await validate(env, encodeBlob(blob));
  if (!inspection.ok) return inspection;
  const missing = missingClasses(Object.keys(header.classes ?? {}), inspection.value.named_handlers);
  if (missing.length > 0) return err({ reason: "class-not-exported", classes: missing });
  const reserved = inspection.value.named_handlers.filter(({ name }) => name.startsWith(RESERVED_PREFIX));
  if (reserved.length > 0) {
    const names = reserved.map(({ name }) => name).join(", ");
    const message = `Exports must not have names that begin with ${RESERVED_PREFIX}: ${names}`;
    return err({ reason: "startup-failed", message });
  }
  const { has_default } = inspection.value;
  const { handlers } = inspection.value;
  const takes = { takes_batches: handlers.includes("queue"), takes_crons: handlers.includes("scheduled") };
  const encoded = encodeBlob({ header: { ...header, has_default, ...takes }, modules });
  await provision(env, worker, header.bindings);
  if (how.assets !== null) await storeAssets(env, registry, how.assets);
  await registry.announce(header.version);
  await writeVersion(env.SLUICE_KV, header.version, encoded);
  const recorded = await registry.recordVersion(worker, {
    actor,
    version: {
      id: header.version,
      created_on: header.created_on,
      triggered_by: how.triggered_by,
      message: how.message,
      tag: how.tag,
      main_module: header.main_module,
      compatibility_date: header.compatibility_date,
      compatibility_flags: header.compatibility_flags,
      bindings: header.bindings,
      inspection: inspection.value,
      etag: await etagOf(blob),
      size_bytes: encoded.byteLength,
      assets: how.assets?.of ?? null,
      alias: how.alias,
    },
    basedOn: latest?.id ?? null,
    deploy: how.deploy,
    replaces: how.replaces,
    settings: how.settings,
    lifecycle: how.lifecycle,
  });
  return recorded;
}

function newHeader(worker: string, tag: string | null) {
  return { worker, version: crypto.randomUUID(), created_on: new Date().toISOString(), tag };
}

function checkEnvSize(bindings: readonly Binding[]): Result<null, SluiceError> {
  const size = utf8(JSON.stringify(bindings)).byteLength;
  if (size <= LIMITS.uploads.maxEnvBytes) return ok(null);
  return err({
    reason: "upload-invalid",
    detail: `its variables and secrets have ${size} bytes in total; the limit is ${LIMITS.uploads.maxEnvBytes}`,
  });
}

async function etagOf({ modules }: VersionBlob): Promise<string> {
  const digests = await Promise.all(
    modules.map(async ({ name, type, bytes }) => `${name}\n${type}\n${await sha256Hex(bytes)}\n`),
  );
  return sha256Hex(utf8(digests.sort().join("")));
}
