/** Starts workerd for the contenders. */
import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { bundleWorker } from "../src/cli/bundle.ts";
import { V8_FLAGS } from "../src/cli/processes/configs.ts";
import { encodeBlob } from "../src/versions/blob.ts";
import { deploymentKey, versionKey } from "../src/versions/keys.ts";
import { DEPLOYMENT } from "./input.ts";

// The flags of `sluice serve`, for every contender.
process.env.MINIFLARE_WORKERD_V8_FLAGS ??= V8_FLAGS.join(" ");

export const COMPATIBILITY_DATE = "2026-11-17";

type Options = Record<string, unknown>;

/** A contender of bench/workers/, bundled. */
export function bundleBench(name: string) {
  return bundleWorker(join(import.meta.dirname, "workers", `${name}.ts`), `bench-${name}`);
}

export function startWorkerd(worker: Options): Miniflare {
  return new Miniflare(convertV4MiniflareOptions({ ...shared, ...base, ...worker } as never));
}

/**
 * Starts Workers in one process, each with a socket of its own.
 *
 * @param storage folder for KV; undefined for memory
 */
export function startWorkers(
  workers: readonly (Options & { readonly name: string })[],
  storage?: string,
): Miniflare {
  const each = workers.map((worker) => ({
    ...base,
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    ...worker,
  }));
  return new Miniflare(
    convertV4MiniflareOptions({ ...shared, resourcePersistencePath: storage, workers: each } as never),
  );
}

/**
 * Writes the deployment of input.ts and its versions to the KV that the routers of `worker` read.
 *
 * @param codeOf main module of a version by its number; by default one that answers with the number
 */
export async function publish(mf: Miniflare, worker: string, codeOf = hello): Promise<void> {
  const kv = await mf.getKVNamespace("KV", worker);
  await kv.put(deploymentKey("bench"), JSON.stringify(DEPLOYMENT));
  for (const { version_id, number } of DEPLOYMENT.versions) {
    await kv.put(versionKey(version_id), toBlob(version_id, codeOf(number)).buffer as never);
  }
}

const shared = { host: "127.0.0.1", port: 0, cf: false, log: new Log(LogLevel.NONE) };
const base = { compatibilityDate: COMPATIBILITY_DATE };

/** Code of a version that answers with its number. */
export function hello(number: number): string {
  return `export default { fetch: () => new Response("Hello from version ${number}\\n") };`;
}

function toBlob(version: string, code: string) {
  return encodeBlob({
    header: {
      worker: "bench",
      version,
      created_on: new Date(0).toISOString(),
      tag: null,
      main_module: "index.js",
      compatibility_date: COMPATIBILITY_DATE,
      compatibility_flags: [],
      bindings: [],
      has_default: true,
    },
    modules: [{ name: "index.js", type: "js", bytes: new TextEncoder().encode(code) }],
  });
}
