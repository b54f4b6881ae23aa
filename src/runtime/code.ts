/** Turns a stored version into code for Worker Loader. Pure. */
import CLIENT from "#client";
import { LIMITS } from "../lib/limits.ts";
import type { BlobHeader, VersionBlob } from "../versions/blob.ts";
import {
  CLIENT_MODULE,
  QUEUE_ENTRYPOINT,
  SCHEDULED_ENTRYPOINT,
  SERVICE_WORKER_MODULE,
  WRAPPER_MODULE,
} from "../versions/names.ts";
import type { Module, ModuleType } from "../versions/types.ts";
import { clientBindings, type OpenChannel, toEnv } from "./version-env.ts";

/**
 * Globals of every version. In loaded Workers the runtime has no cache, and `caches` throws: a version gets a cache that
 * is always empty, as on workers.dev. Where an address may not be reached, the runtime's message is "internal error": the
 * version's author is told what it means. `fetch` is bounded for each request that `count` sees. The module also keeps
 * what Sluice's own code in the version uses, from before the version's code can replace it.
 */
const GLOBALS_MODULE = "__sluice_globals.js";
const GLOBALS = `import { AsyncLocalStorage } from "node:async_hooks";
import { abortIsolate } from "cloudflare:workers";
// Before 2022-01-31, it is a property of each request.
const getUrl = Object.getOwnPropertyDescriptor(Request.prototype, "url")?.get;
const withThis = (method) => Function.prototype.call.bind(method);
const exec = withThis(RegExp.prototype.exec);
const textOf = withThis(Function.prototype.toString);
export const tools = Object.freeze({
  abortIsolate,
  Promise,
  Response,
  quote: JSON.stringify,
  noContent: Object.freeze({ __proto__: null, status: 204 }),
  setTimeout: setTimeout.bind(globalThis),
  isClass: (value) => exec(/^class\\b/, textOf(value)) !== null,
  urlOf: getUrl === undefined ? (request) => request.url : withThis(getUrl),
});
const plainFetch = fetch;
const OwnError = Error;
const startsWith = withThis(String.prototype.startsWith);
const { apply, defineProperty } = Reflect;
const explain = (error) => {
  if (!(error instanceof OwnError) || !startsWith(error.message, "internal error")) throw error;
  throw new OwnError("The request could not be sent. A version cannot reach the machine that runs Sluice, nor link-local addresses, unless its operator allows it with --allow-address. (" + error.message + ")");
};
const events = new AsyncLocalStorage();
const run = events.run.bind(events);
const current = events.getStore.bind(events);
const counted = (handle) => function (...args) {
  return current() === undefined ? run({ fetches: 0 }, () => apply(handle, this, args)) : apply(handle, this, args);
};
const counting = ["fetch", "scheduled", "queue"];
// In place: whoever else has the handlers must see the same object.
export const count = (handlers) => {
  const target = typeof handlers === "function" ? handlers.prototype : handlers;
  if (typeof target !== "object" || target === null) return;
  for (let i = 0; i < counting.length; i++) {
    const handle = target[counting[i]];
    if (typeof handle === "function") defineProperty(target, counting[i], { __proto__: null, value: counted(handle), configurable: true, writable: true, enumerable: typeof handlers === "object" });
  }
};
const boundedFetch = (...args) => {
  const event = current();
  if (event !== undefined && ++event.fetches > ${LIMITS.loading.maxFetches}) return tools.Promise.reject(new OwnError("Too many subrequests: one request may send ${LIMITS.loading.maxFetches}."));
  return apply(plainFetch, undefined, args).then(undefined, explain);
};
Object.defineProperty(globalThis, "fetch", { value: { fetch: (...args) => apply(boundedFetch, undefined, args) }.fetch, configurable: true, writable: true, enumerable: true });
const empty = {
  match: async () => undefined,
  put: async (request, response) => void (await response.body?.cancel()),
  delete: async () => false,
};
Object.defineProperty(globalThis, "caches", { value: { default: empty, open: async () => empty }, configurable: true, writable: true });
`;

/**
 * Entrypoint that every running version has in addition to its own. An answer proves that the version starts. For
 * `UNLOAD_URL` it ends its isolate: the caller gets an error, requests in flight finish, and the memory returns. It waits
 * one turn first, because the runtime would otherwise log an internal error. It awaits nothing: what `await` does, the
 * version's code can replace.
 */
export const READY_ENTRYPOINT = "__sluice__";
export const READY_URL = "http://version/ready";
export const UNLOAD_URL = "http://version/unload";
const ENTRYPOINT = `import { tools } from "./${GLOBALS_MODULE}";
export const ${READY_ENTRYPOINT} = {
  fetch(request) {
    if (tools.urlOf(request) !== "${UNLOAD_URL}") return new tools.Response(null, tools.noContent);
    return new tools.Promise(() => tools.setTimeout(() => tools.abortIsolate("unloaded")));
  },
};
`;

/**
 * Module that installs the client (bindings/client.ts) before the version's own code runs. Only versions that need the
 * client have it.
 */
const INSTALL_MODULE = "__sluice_install.js";
/** Name of the objects' channel to their hosts in `env`. The install module removes it from there. */
const ALARMS = "__sluice_alarms";
/** From this compatibility date on, `deleteAll()` deletes an object's alarm too. */
const DELETE_ALL_ALARMS = "2026-02-24";

/** Flags that give stubs methods of any name, and the compatibility dates from which they are the default. */
const METHOD_FLAGS = [
  { flag: "fetcher_no_get_put_delete", opposite: "fetcher_has_get_put_delete", since: "2024-03-26" },
  { flag: "rpc", opposite: "no_rpc", since: "2024-04-03" },
] as const;

/** Code that serves requests: the user's exports, and Sluice's entrypoints. */
export function servingCode(blob: VersionBlob, open: OpenChannel): WorkerLoaderWorkerCode {
  const { header } = blob;
  const main = JSON.stringify(`./${header.main_module}`);
  const classes = Object.keys(header.classes ?? {});
  const wrapper = `export * from ${main};
${header.has_default ? countedDefault(main) : ""}
${classes.length === 0 ? "" : hostedClasses(header, main, classes)}
${eventEntrypoints(header, main)}
${ENTRYPOINT}`;
  return wrap(blob, wrapper, open);
}

function countedDefault(main: string): string {
  return `export { default } from ${main};
import counted from ${main};
import { count } from "./${GLOBALS_MODULE}";
count(counted);`;
}

/** Exports of the wrapper replace the user's exports of the same name. */
function hostedClasses({ compatibility_date }: BlobHeader, main: string, classes: readonly string[]): string {
  const deleteAll = compatibility_date >= DELETE_ALL_ALARMS;
  const hosted = classes.map(
    (name) =>
      `const hosted_${name} = objectClass(user.${name}, alarms[${JSON.stringify(name)}], ${deleteAll});
export { hosted_${name} as ${name} };`,
  );
  return `import * as user from ${main};
import { objectClass } from "./${CLIENT_MODULE}";
import { alarms } from "./${INSTALL_MODULE}";
${hosted.join("\n")}`;
}

function eventEntrypoints({ takes_batches, takes_crons }: BlobHeader, main: string): string {
  if (!takes_batches && !takes_crons) return "";
  return `import handlers from ${main};
import { queueEntrypoint, scheduledEntrypoint } from "./${CLIENT_MODULE}";
${takes_batches ? `export const ${QUEUE_ENTRYPOINT} = queueEntrypoint(handlers);` : ""}
${takes_crons ? `export const ${SCHEDULED_ENTRYPOINT} = scheduledEntrypoint(handlers);` : ""}`;
}

/** The modules that put a version's clients into its `env`; none if it needs none. */
function clientModules(header: BlobHeader): Record<string, WorkerLoaderModule> {
  const bindings = clientBindings(header);
  const hasObjects = Object.keys(header.classes ?? {}).length > 0;
  const isScript = header.main_module === SERVICE_WORKER_MODULE;
  const takesEvents = header.takes_batches || header.takes_crons;
  if (bindings.length === 0 && !hasObjects && !isScript && !takesEvents) return {};
  const install = `import { install, take } from "./${CLIENT_MODULE}";
install(${JSON.stringify(bindings)});
export const alarms = take(${JSON.stringify(ALARMS)}) ?? {};`;
  return { [CLIENT_MODULE]: { js: CLIENT }, [INSTALL_MODULE]: { js: install } };
}

/**
 * Code that starts the user's module and reports its exports. It cannot make requests. The user's module has run by then,
 * so the report is put together without anything that it can replace: neither iterators nor methods of arrays.
 *
 * @param open gives bindings that look like those of a running version
 */
export function inspectingCode(blob: VersionBlob, open: OpenChannel): WorkerLoaderWorkerCode {
  const main = JSON.stringify(`./${blob.header.main_module}`);
  const code = wrap(
    blob,
    `import * as user from ${main};
import { tools } from "./${GLOBALS_MODULE}";
const EVENTS = ["fetch", "scheduled", "queue", "email", "tail", "trace", "tailStream", "connect", "test"];
const join = (list, text) => (list === "" ? text : list + "," + text);
const events = (value) => {
  const target = typeof value === "function" ? value.prototype : value;
  let found = "";
  if (target === null || typeof target !== "object") return found;
  for (let i = 0; i < EVENTS.length; i++) {
    if (typeof target[EVENTS[i]] === "function") found = join(found, tools.quote(EVENTS[i]));
  }
  return found;
};
const handlersOf = (value) => {
  if (typeof value !== "function") return events(value);
  return tools.isClass(value) ? '"class"' : "";
};
let named = "";
for (const name in user) {
  const handlers = name === "default" ? "" : handlersOf(user[name]);
  if (handlers !== "") named = join(named, '{"name":' + tools.quote(name) + ',"handlers":[' + handlers + "]}");
}
const hasDefault = "default" in user;
const handlers = hasDefault ? events(user.default) : "";
const report = '{"has_default":' + hasDefault + ',"handlers":[' + handlers + '],"named_handlers":[' + named + "]}";
export default { fetch: () => new tools.Response(report) };
`,
    open,
  );
  return { ...code, globalOutbound: null };
}

function wrap(blob: VersionBlob, wrapper: string, open: OpenChannel): WorkerLoaderWorkerCode {
  const { header } = blob;
  const client = clientModules(header);
  // Imported first, so that they are evaluated before the user's modules.
  const first = [GLOBALS_MODULE, ...Object.keys(client).filter((name) => name === INSTALL_MODULE)];
  const modules: Record<string, WorkerLoaderModule> = {
    [WRAPPER_MODULE]: { js: `${first.map((name) => `import "./${name}";`).join("\n")}\n${wrapper}` },
    [GLOBALS_MODULE]: { js: GLOBALS },
    ...client,
  };
  for (const module of blob.modules) {
    if (module.type !== "sourcemap") modules[module.name] = toLoaderModule(module.type, module);
  }
  return {
    compatibilityDate: header.compatibility_date,
    compatibilityFlags: withContext(
      INSTALL_MODULE in client ? flagsForClient(header) : header.compatibility_flags,
    ),
    mainModule: WRAPPER_MODULE,
    modules,
    env: { ...toEnv(header, open), ...alarmChannels(header, open) },
  };
}

/** The flags with what tells one request of a version from another: `AsyncLocalStorage`. */
function withContext(flags: readonly string[]): string[] {
  const others = flags.filter((flag) => flag !== "nodejs_als" && flag !== "no_nodejs_als");
  return [...others, "nodejs_als"];
}

/** The flags with what the client needs: the importable `env`, and methods on its channels. */
function flagsForClient({ compatibility_date, compatibility_flags }: BlobHeader): string[] {
  const unwanted = new Set<string>([
    "disallow_importable_env",
    ...METHOD_FLAGS.map(({ opposite }) => opposite),
  ]);
  const flags = compatibility_flags.filter((flag) => !unwanted.has(flag));
  const missing = METHOD_FLAGS.filter(
    ({ flag, since }) => compatibility_date < since && !flags.includes(flag),
  );
  return [...flags, ...missing.map(({ flag }) => flag)];
}

function alarmChannels({ classes, worker }: BlobHeader, open: OpenChannel): Record<string, unknown> {
  if (classes === undefined) return {};
  const channels = Object.entries(classes).map(([name, namespace]) => [
    name,
    open("ObjectsBinding", { worker, namespace }),
  ]);
  return { [ALARMS]: Object.fromEntries(channels) };
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
