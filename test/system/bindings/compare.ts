/**
 * One module, run as a plain Worker under Miniflare and as a version under Sluice: what it records has to be the same.
 * The module is given `record(name, action)`, which keeps what the action gives, or the error that it throws.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { expect } from "vitest";
import { deploy } from "../../support/client.ts";
import type { Server } from "../../support/server.ts";

/** Compatibility date of both. */
export const DATE = "2026-11-17";

const RECORDER = `
export function recorder() {
  const records = {};
  const describe = (value) => {
    if (value === undefined) return "undefined";
    if (value instanceof Map) return { map: [...value].map(([k, v]) => [k, describe(v)]) };
    if (value instanceof Date) return { date: true };
    if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)].slice(0, 64), size: value.byteLength };
    if (ArrayBuffer.isView(value)) return { view: value.constructor.name, bytes: [...value].slice(0, 64) };
    if (Array.isArray(value)) return value.map(describe);
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined).map(([k, v]) => [k, describe(v)]));
    }
    return typeof value === "bigint" ? value + "n" : value;
  };
  const record = async (name, action) => {
    try { records[name] = describe(await action()); }
    catch (error) { records[name] = { thrown: error?.constructor?.name, message: String(error?.message) }; }
  };
  return { records, record };
}`;

export interface Suite {
  /** Body of `async (env, record) => { … }`. */
  readonly body: string;
  /** More of the main module: classes that it exports. */
  readonly top?: string;
  /** What Miniflare is told of the bindings (its documented options). */
  readonly miniflare: Readonly<Record<string, unknown>>;
  /** The same, as an upload's metadata. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Main modules of other Workers, by name. */
  readonly others?: Readonly<Record<string, string>>;
}

type Records = Record<string, unknown>;

function mainOf({ body, top = "" }: Suite): string {
  return `import { recorder } from "./recorder.js";
import { DurableObject, RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
${top}
export default { async fetch(request, env, ctx) {
  const { records, record } = recorder();
  await (async (env, record) => { ${body} })(env, record);
  return Response.json(records);
} };`;
}

/** What each of the two recorded. */
export async function runBoth(
  server: Server,
  worker: string,
  suite: Suite,
): Promise<{ plain: Records; sluice: Records }> {
  const modules = { "index.js": { content: mainOf(suite) }, "recorder.js": { content: RECORDER } };
  const [plain, sluice] = await Promise.all([
    runPlain(suite, modules),
    (async () => {
      for (const [name, content] of Object.entries(suite.others ?? {})) {
        await deploy(server, name, {
          modules: { "index.js": { content } },
          metadata: { compatibility_date: DATE },
        });
      }
      await deploy(server, worker, { modules, metadata: { compatibility_date: DATE, ...suite.metadata } });
      const { status, body } = await server.traffic(worker);
      expect([status, body]).toEqual([200, expect.stringMatching(/^\{/)]);
      return JSON.parse(body) as Records;
    })(),
  ]);
  return { plain, sluice };
}

async function runPlain(
  suite: Suite,
  modules: Readonly<Record<string, { readonly content: string }>>,
): Promise<Records> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-plain-"));
  const toModules = (contents: Readonly<Record<string, string>>) =>
    Object.entries(contents).map(([path, text]) => ({ type: "ESModule" as const, path, contents: text }));
  const contents = Object.fromEntries(Object.entries(modules).map(([path, { content }]) => [path, content]));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      resourcePersistencePath: folder,
      workers: [
        { name: "main", compatibilityDate: DATE, modules: toModules(contents), ...suite.miniflare },
        ...Object.entries(suite.others ?? {}).map(([name, text]) => ({
          name,
          compatibilityDate: DATE,
          modules: toModules({ "index.js": text }),
        })),
      ],
    }),
  );
  try {
    const response = await miniflare.dispatchFetch("http://plain/");
    return (await response.json()) as Records;
  } finally {
    await miniflare.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}
