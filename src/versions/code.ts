/** A stored version as Worker Loader takes it. Pure. */
import { toEnv } from "./bindings.ts";
import type { VersionBlob } from "./blob.ts";
import type { Module, ModuleType } from "./types.ts";

/** Names that uploads may not use for their modules. */
export const RESERVED_MODULE_PREFIX = "__sluice";
export const WRAPPER_MODULE = "__sluice_main.js";

/**
 * The runtime has no cache for loaded Workers, and `caches` throws there. A version sees one that never holds anything,
 * as on workers.dev.
 */
const CACHES_MODULE = "__sluice_caches.js";
const CACHES = `const empty = {
  match: async () => undefined,
  put: async (request, response) => void (await response.body?.cancel()),
  delete: async () => false,
};
Object.defineProperty(globalThis, "caches", { value: { default: empty, open: async () => empty }, configurable: true, writable: true });
`;

/**
 * Entrypoint that every running version has beside its own. An answer proves that the version starts. Asked for
 * `UNLOAD_URL` it ends its isolate: the caller gets an error, requests under way finish, and the memory returns. Not in
 * the same turn in which it was called, since the runtime logs that as a fault of its own.
 */
export const READY_ENTRYPOINT = "__sluice__";
export const READY_URL = "http://version/ready";
export const UNLOAD_URL = "http://version/unload";
const ENTRYPOINT = `export const ${READY_ENTRYPOINT} = {
  async fetch(request) {
    if (request.url !== "${UNLOAD_URL}") return new Response(null, { status: 204 });
    const { abortIsolate } = await import("cloudflare:workers");
    await new Promise((resolve) => setTimeout(resolve));
    abortIsolate("unloaded");
  },
};
`;

/** The version to serve requests with: the user's exports, and the entrypoint of ours. */
export function servingCode(blob: VersionBlob): WorkerLoaderWorkerCode {
  const main = JSON.stringify(`./${blob.header.main_module}`);
  return wrap(
    blob,
    `export * from ${main};
${blob.header.has_default ? `export { default } from ${main};` : ""}
${ENTRYPOINT}`,
  );
}

/** The version to inspect: starts the user's module and reports what it exports. Makes no request of its own. */
export function inspectingCode(blob: VersionBlob): WorkerLoaderWorkerCode {
  const main = JSON.stringify(`./${blob.header.main_module}`);
  const code = wrap(
    blob,
    `import * as user from ${main};
const EVENTS = ["fetch", "scheduled", "queue", "email", "tail", "trace", "tailStream", "connect", "test"];
const has = (target, name) => typeof target[name] === "function";
const events = (value) => {
  const target = typeof value === "function" ? value.prototype : value;
  return target === null || (typeof target !== "object") ? [] : EVENTS.filter((name) => has(target, name));
};
const named = (name, value) => {
  if (typeof value === "function") return /^class\\b/.test(Function.prototype.toString.call(value)) ? [{ name, handlers: ["class"] }] : [];
  const handlers = events(value);
  return handlers.length === 0 ? [] : [{ name, handlers }];
};
const report = {
  has_default: "default" in user,
  handlers: "default" in user ? events(user.default) : [],
  named_handlers: Object.entries(user).flatMap(([name, value]) => (name === "default" ? [] : named(name, value))),
};
export default { fetch: () => Response.json(report) };
`,
  );
  return { ...code, globalOutbound: null };
}

function wrap(blob: VersionBlob, wrapper: string): WorkerLoaderWorkerCode {
  const modules: Record<string, WorkerLoaderModule> = {
    // Its first import is evaluated before the user's modules.
    [WRAPPER_MODULE]: { js: `import "./${CACHES_MODULE}";\n${wrapper}` },
    [CACHES_MODULE]: { js: CACHES },
  };
  for (const module of blob.modules) {
    if (module.type !== "sourcemap") modules[module.name] = toLoaderModule(module.type, module);
  }
  return {
    compatibilityDate: blob.header.compatibility_date,
    compatibilityFlags: [...blob.header.compatibility_flags],
    mainModule: WRAPPER_MODULE,
    modules,
    env: toEnv(blob.header),
  };
}

function toLoaderModule(type: ModuleType, { bytes }: Module): WorkerLoaderModule {
  const text = () => new TextDecoder().decode(bytes);
  switch (type) {
    case "js":
      return { js: text() };
    case "cjs":
      return { cjs: text() };
    case "text":
      return { text: text() };
    case "json":
      return { json: JSON.parse(text()) };
    case "data":
      return { data: bytes.slice().buffer };
    case "wasm":
      return { wasm: bytes.slice().buffer };
  }
}
