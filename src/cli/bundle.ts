/** Sluice's Worker as modules for the runtime: bundled from the sources, or read from the build of a package. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { PACKAGE_ROOT } from "./package.ts";

export interface Bundle {
  /** The main module first. */
  readonly modules: { type: "ESModule" | "CompiledWasm"; path: string; contents: string | Uint8Array }[];
  /** Identifies the code. */
  readonly build: string;
}

/** Workers that the package is made of, by their entry file below src/. */
export const WORKERS = { sluice: "index.ts", validator: "validator.ts" } as const;
export type WorkerEntry = keyof typeof WORKERS;

export async function loadBundle(entry: WorkerEntry): Promise<Bundle> {
  const source = join(PACKAGE_ROOT, "src", WORKERS[entry]);
  return existsSync(source) ? bundleWorker(source) : readBuild(join(PACKAGE_ROOT, "dist", entry));
}

export async function bundleWorker(entryPoint: string): Promise<Bundle> {
  const { build } = await import("esbuild");
  const wasm = new Map<string, string>();
  const result = await build({
    entryPoints: [entryPoint],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "import"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
    jsx: "automatic",
    jsxImportSource: "hono/jsx",
    plugins: [
      {
        name: "texts",
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^#/ }, ({ path }) => ({ path, namespace: "texts" }));
          onLoad({ filter: /.*/, namespace: "texts" }, async ({ path }) => ({
            contents: await TEXTS[path as keyof typeof TEXTS](),
            loader: "text",
          }));
        },
      },
      {
        name: "wasm-modules",
        setup({ onResolve }) {
          onResolve({ filter: /\.wasm$/ }, ({ path, resolveDir }) => {
            const name = basename(path);
            wasm.set(name, join(resolveDir, path));
            return { path: `./${name}`, external: true };
          });
        },
      },
    ],
  });
  const code = result.outputFiles[0]?.text ?? "";
  const extra = [...wasm].map(async ([name, file]) => wasmModule(name, await readFile(file)));
  return toBundle(code, await Promise.all(extra));
}

/** What runs in versions beside their own code (src/versions/client), as one module. */
export async function bundleClient(): Promise<string> {
  const { build } = await import("esbuild");
  const result = await build({
    entryPoints: [join(PACKAGE_ROOT, "src/versions/client/index.ts")],
    bundle: true,
    write: false,
    minify: true,
    keepNames: true,
    format: "esm",
    target: "es2024",
    external: ["cloudflare:*"],
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

/** One file of the dashboard as browsers get it: a script or a style sheet. */
async function bundlePublic(file: string): Promise<string> {
  const { build } = await import("esbuild");
  const result = await build({
    entryPoints: [join(PACKAGE_ROOT, "src/dashboard/client", file)],
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    target: ["chrome111", "firefox115", "safari16.4"],
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

/** What the Worker holds as text, by the name under which it is imported. */
export const TEXTS = {
  "#client": bundleClient,
  "#dashboard/main": () => bundlePublic("main.ts"),
  "#dashboard/charts": () => bundlePublic("charts.ts"),
  "#dashboard/editor": () => bundlePublic("editor.ts"),
  "#dashboard/style": () => bundlePublic("style.css"),
} as const;

async function readBuild(folder: string): Promise<Bundle> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".wasm"));
  const extra = names.map(async (name) => wasmModule(name, await readFile(join(folder, name))));
  return toBundle(await readFile(join(folder, "index.js"), "utf8"), await Promise.all(extra));
}

function wasmModule(path: string, contents: Uint8Array) {
  return { type: "CompiledWasm" as const, path, contents };
}

function toBundle(code: string, extra: Bundle["modules"]): Bundle {
  return {
    modules: [{ type: "ESModule", path: "index.js", contents: code }, ...extra],
    build: createHash("sha256").update(code).digest("hex").slice(0, 12),
  };
}
