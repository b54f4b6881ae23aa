/** Reads the multipart body that wrangler sends into the draft of a version. A trust boundary. Stores nothing. */
import { MIB, utf8 } from "../../lib/bytes.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { LIMITS } from "../../lib/limits.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { UploadedBinding } from "../../versions/binding-types.ts";
import { unsupportedBinding } from "../../versions/bindings.ts";
import { ASSETS_ONLY_MODULE, RESERVED_PREFIX, SERVICE_WORKER_MODULE } from "../../versions/names.ts";
import type { Module, Settings } from "../../versions/types.ts";
import { cutMessage, readForm } from "../body.ts";
import { check, knownBinding, parseJson, type UploadMetadata, uploadMetadata } from "../schemas.ts";
import { readAssets } from "./assets.ts";
import type { Draft } from "./draft.ts";
import { isPartBinding, toModules } from "./service-worker.ts";

/** Date of an upload without one: the oldest compatibility date, as on Cloudflare. */
const OLDEST_COMPATIBILITY_DATE = "2021-11-02";

const MODULE_TYPES: ReadonlyMap<string, Module["type"]> = new Map(
  Object.entries({
    "application/javascript+module": "js",
    "text/javascript+module": "js",
    "application/javascript": "cjs",
    "text/javascript": "cjs",
    "application/wasm": "wasm",
    "text/plain": "text",
    "application/octet-stream": "data",
    "application/json": "json",
    "application/source-map": "sourcemap",
  } as const),
);

export async function readUpload(request: Request): Promise<Result<Draft, SluiceError>> {
  const form = await readForm(request);
  if (!form.ok) return form;
  const metadata = await readMetadata(form.value);
  if (!metadata.ok) return metadata;
  const refused = refuseUnsupported(metadata.value);
  if (refused !== undefined) return err(refused);
  const { body_part } = metadata.value;
  const all = metadata.value.bindings ?? [];
  const bindings = readBindings(body_part === undefined ? all : all.filter((each) => !isPartBinding(each)));
  if (!bindings.ok) return bindings;
  const parts = await readModules(form.value);
  if (!parts.ok) return parts;
  const code = readCode(metadata.value, all, parts.value);
  if (!code.ok) return code;
  const assets = readAssets(metadata.value);
  if (!assets.ok) return assets;
  if (assets.value === null && bindings.value.some(({ type }) => type === "assets")) {
    const detail = "it has a binding to assets, but no assets: set `assets.directory` in the configuration";
    return err({ reason: "upload-invalid", detail });
  }

  const { annotations, compatibility_date, compatibility_flags, keep_bindings } = metadata.value;
  return ok({
    ...code.value,
    compatibility_date: compatibility_date ?? OLDEST_COMPATIBILITY_DATE,
    compatibility_flags: compatibility_flags ?? [],
    bindings: bindings.value,
    keep_bindings: keep_bindings ?? [],
    message: cutMessage(annotations?.["workers/message"]),
    tag: annotations?.["workers/tag"] || null,
    settings: readSettings(metadata.value),
    migrations: metadata.value.migrations ?? null,
    assets: assets.value,
    alias: annotations?.["workers/alias"] || null,
  });
}

type Code = Pick<Draft, "main_module" | "modules">;

/** The modules of an upload in one of three forms: ES modules, service-worker syntax, assets without code. */
function readCode(
  { main_module, body_part, assets, keep_assets }: UploadMetadata,
  bindings: readonly { readonly type: string; readonly name: string }[],
  parts: readonly Module[],
): Result<Code, SluiceError> {
  if (body_part !== undefined) {
    const modules = toModules(body_part, bindings.filter(isPartBinding), parts);
    return modules.ok ? ok({ main_module: SERVICE_WORKER_MODULE, modules: modules.value }) : modules;
  }
  if (main_module === undefined && (assets || keep_assets)) {
    const bytes = utf8("export default {};");
    const module: Module = { name: ASSETS_ONLY_MODULE, type: "js", bytes };
    return ok({ main_module: ASSETS_ONLY_MODULE, modules: [module, ...parts] });
  }
  const main = checkMain(main_module, parts);
  return main.ok ? ok({ main_module: main.value, modules: parts }) : main;
}

async function readMetadata(form: FormData): Promise<Result<UploadMetadata, SluiceError>> {
  const parts = form.getAll("metadata");
  if (parts.length !== 1) {
    return err({
      reason: "upload-invalid",
      detail: `there are ${parts.length} parts named metadata; send exactly one, with JSON`,
    });
  }
  const part = parts[0] as File | string;
  const metadata = parseJson(typeof part === "string" ? part : await part.text(), uploadMetadata);
  if (metadata.ok) return metadata;
  const detail = metadata.error.reason === "body-invalid" ? metadata.error.detail : "";
  return err({ reason: "upload-invalid", detail: `metadata: ${detail}` });
}

/** Refuses the first feature that this release does not have; undefined where it has all of them. */
function refuseUnsupported(metadata: UploadMetadata): SluiceError | undefined {
  const unsupported = (feature: string, advice: string) =>
    ({ reason: "unsupported", feature, advice }) as const;
  const raw: Record<string, unknown> = metadata;
  const given = (name: string) => {
    const value = raw[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== false;
  };
  if (given("placement")) {
    return unsupported(
      "smart placement",
      "every version runs on this machine, so there is nothing to place: remove `placement` from the configuration",
    );
  }
  if (given("exports")) {
    return unsupported(
      "declarative exports",
      "declare Durable Object classes with `migrations` and `new_sqlite_classes` in the configuration",
    );
  }
  if (metadata.migrations?.steps.some(({ transferred_classes = [] }) => transferred_classes.length > 0)) {
    return unsupported(
      "transferring Durable Object classes",
      "bind to the class of the other Worker with `script_name` instead",
    );
  }
  if (given("containers")) return unsupported("containers", "remove `containers` from the configuration");
  if (given("limits")) {
    return unsupported(
      "CPU limits",
      "the runtime does not enforce them: remove `limits` from the configuration",
    );
  }
  if (given("tail_consumers") || given("streaming_tail_consumers")) {
    return unsupported("tail consumers", "remove `tail_consumers` from the configuration");
  }
  if (given("logpush")) return unsupported("Logpush", "remove `logpush` from the configuration");
  return undefined;
}

function readBindings(
  bindings: readonly { readonly type: string; readonly name: string }[],
): Result<readonly UploadedBinding[], SluiceError> {
  const known = new Set<string>(knownBinding.options.map((option) => option.shape.type.value));
  const names = new Set<string>();
  const read: UploadedBinding[] = [];
  for (const binding of bindings) {
    if (!known.has(binding.type)) return err(unsupportedBinding(binding.type, binding.name));
    if (names.has(binding.name)) {
      return err({ reason: "upload-invalid", detail: `two bindings are named "${binding.name}"` });
    }
    names.add(binding.name);
    const parsed = check(binding, knownBinding);
    if (!parsed.ok) {
      const detail = parsed.error.reason === "body-invalid" ? parsed.error.detail : "";
      return err({ reason: "upload-invalid", detail: `binding "${binding.name}": ${detail}` });
    }
    read.push(parsed.value);
  }
  return ok(read);
}

async function readModules(form: FormData): Promise<Result<readonly Module[], SluiceError>> {
  const invalid = (detail: string) => err({ reason: "upload-invalid", detail } as const);
  const modules = new Map<string, Module>();
  for (const [part, value] of form as Iterable<[string, File | string]>) {
    if (part === "metadata") continue;
    const name = normalizeName(part);
    if (name === undefined) {
      return invalid(
        `"${part}" cannot be the name of a module: use a relative path below the main module's folder`,
      );
    }
    if (modules.has(name)) return invalid(`two modules are named "${name}"`);
    if (typeof value === "string") {
      return invalid(
        `the part "${part}" has no filename, so it is not a module; give it one and a Content-Type`,
      );
    }
    const mime = value.type.split(";", 1)[0]?.trim().toLowerCase() ?? "";
    const type = MODULE_TYPES.get(mime);
    if (type === undefined) {
      return err({
        reason: "unsupported",
        feature: `the module "${part}" of type "${value.type}"`,
        advice: `use one of ${[...MODULE_TYPES.keys()].join(", ")}`,
      });
    }
    modules.set(name, { name, type, bytes: new Uint8Array(await value.arrayBuffer()) });
    if (modules.size > LIMITS.uploads.maxModules)
      return invalid(`it has more than ${LIMITS.uploads.maxModules} modules`);
  }
  return checkSize([...modules.values()]);
}

function checkSize(modules: readonly Module[]): Result<readonly Module[], SluiceError> {
  const size = modules.reduce((sum, module) => sum + module.bytes.byteLength, 0);
  if (size <= LIMITS.uploads.maxVersionBytes) return ok(modules);
  const mib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;
  const largest = [...modules]
    .sort((a, b) => b.bytes.byteLength - a.bytes.byteLength)
    .slice(0, 3)
    .map(({ name, bytes }) => `${name} ${mib(bytes.byteLength)}`);
  return err({
    reason: "version-too-large",
    detail: `The Worker's modules and source maps are ${mib(size)} together; the limit is ${mib(LIMITS.uploads.maxVersionBytes)}. Largest: ${largest.join(", ")}. Source maps count: \`upload_source_maps = false\` leaves them out.`,
  });
}

function checkMain(declared: string | undefined, modules: readonly Module[]): Result<string, SluiceError> {
  const invalid = (detail: string) => err({ reason: "upload-invalid", detail } as const);
  if (declared === undefined) return invalid("metadata names no main_module");
  const name = normalizeName(declared);
  const main = modules.find((module) => module.name === name);
  if (main === undefined) {
    const parts = modules.map((module) => module.name).join(", ") || "none";
    return invalid(`metadata names the main module "${declared}", which is not among the parts (${parts})`);
  }
  if (main.type !== "js") {
    return invalid(
      `the main module "${declared}" is of type ${main.type}; it must be an ES module (application/javascript+module)`,
    );
  }
  return ok(main.name);
}

/** `./a/b.js` → `a/b.js`. Undefined for absolute paths, for paths with `..`, and for reserved names. */
function normalizeName(name: string): string | undefined {
  const parts = name.split("/").filter((part, i) => !(part === "." || (part === "" && i > 0)));
  const invalid = parts.some((part) => part === "" || part === ".." || part === "__proto__");
  if (invalid || parts.length === 0 || parts[0]?.startsWith(RESERVED_PREFIX)) return undefined;
  return parts.join("/");
}

function readSettings({ tags, observability }: UploadMetadata): Partial<Settings> {
  return {
    ...(tags === undefined || tags === null ? {} : { tags }),
    ...(observability === undefined || observability === null ? {} : { observability }),
  };
}
