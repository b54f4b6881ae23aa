/** Sluice's Workers as modules for the runtime: bundled from the sources, or read from a package's build. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import type { BuildOptions, Plugin } from "esbuild";
import { digest, keep, type Made } from "./kept.ts";
import { PACKAGE_ROOT } from "./package.ts";

export interface Bundle {
  /** The main module first. */
  readonly modules: { type: "ESModule" | "CompiledWasm"; path: string; contents: string | Uint8Array }[];
  /** Short hash of the code. */
  readonly build: string;
}

/** The package's Workers, by name, with their entry files below src/. */
export const WORKERS = { sluice: "index.ts", validator: "validator.ts" } as const;
type WorkerEntry = keyof typeof WORKERS;

export async function loadBundle(entry: WorkerEntry): Promise<Bundle> {
  const source = join(PACKAGE_ROOT, "src", WORKERS[entry]);
  return existsSync(source) ? bundleWorker(source, entry) : readBuild(join(PACKAGE_ROOT, "dist", entry));
}

/** Bundled code, and the WebAssembly files that it imports by their names. Paths start from the package's root. */
interface Code {
  readonly text: string;
  readonly wasm: readonly (readonly [name: string, file: string])[];
}

/** @param name name of the cache entry for later starts */
export async function bundleWorker(entryPoint: string, name: string): Promise<Bundle> {
  const file = join(PACKAGE_ROOT, "node_modules/.cache/sluice", `${name}.json`);
  const { text, wasm } = await keep(file, PACKAGE_ROOT, () => makeWorker(entryPoint));
  const extra = wasm.map(async ([path, from]) => wasmModule(path, await readFile(join(PACKAGE_ROOT, from))));
  return toBundle(text, await Promise.all(extra));
}

async function makeWorker(entryPoint: string): Promise<Made<Code>> {
  const wasm = new Map<string, string>();
  // Digested before they are used: a change while this bundles must not pass for what was bundled.
  const inputs = await digestAll(HOW);
  const bundled = await bundle({
    entryPoints: [entryPoint],
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "import"],
    // A twentieth of the compressed size. Names stay, and lines stay short, so that a stack in the log can still be read.
    minifyWhitespace: true,
    lineLimit: 160,
    external: ["cloudflare:*", "node:*"],
    jsx: "automatic",
    jsxImportSource: "hono/jsx",
    plugins: [
      {
        name: "texts",
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^#/ }, ({ path }) => ({ path, namespace: "texts" }));
          onLoad({ filter: /.*/, namespace: "texts" }, async ({ path }) => {
            const text = await TEXTS[path as keyof typeof TEXTS]();
            Object.assign(inputs, text.inputs);
            return { contents: text.value, loader: "text" };
          });
        },
      },
      {
        name: "wasm-modules",
        setup({ onResolve }) {
          onResolve({ filter: /\.wasm$/ }, ({ path, resolveDir }) => {
            const name = basename(path);
            wasm.set(name, relative(PACKAGE_ROOT, join(resolveDir, path)));
            return { path: `./${name}`, external: true };
          });
        },
      },
    ],
  });
  return {
    value: { text: bundled.value, wasm: [...wasm] },
    inputs: { ...inputs, ...bundled.inputs },
  };
}

/** What decides how files are bundled, and by which release of the bundler. */
const HOW = ["src/cli/bundle.ts", "tsconfig.json", "tsconfig.base.json", "package-lock.json"];

async function digestAll(files: readonly string[]): Promise<Record<string, string>> {
  const each = files.map(async (file) => [file, digest(await readFile(join(PACKAGE_ROOT, file)))]);
  return Object.fromEntries(await Promise.all(each));
}

/** One file out of several, with all that went into it. */
async function bundle(options: BuildOptions): Promise<Made<string>> {
  const { build } = await import("esbuild");
  const inputs: Record<string, string> = {};
  const { outputFiles } = await build({
    bundle: true,
    logLevel: "silent",
    ...options,
    plugins: [...(options.plugins ?? []), digested(inputs)],
    absWorkingDir: PACKAGE_ROOT,
    write: false,
  });
  return { value: outputFiles[0]?.text ?? "", inputs };
}

/** Reads each file for esbuild, and notes the digest of the very bytes that are bundled. */
function digested(inputs: Record<string, string>): Plugin {
  return {
    name: "digested",
    setup({ onLoad }) {
      onLoad({ filter: /.*/, namespace: "file" }, async ({ path }) => {
        const contents = await readFile(path);
        inputs[relative(PACKAGE_ROOT, path)] = digest(contents);
        return { contents, loader: "default" };
      });
    },
  };
}

/** The code that runs inside versions (src/bindings), as one module. */
function bundleClient(): Promise<Made<string>> {
  return bundle({
    entryPoints: [join(PACKAGE_ROOT, "src/bindings/client.ts")],
    minify: true,
    keepNames: true,
    format: "esm",
    target: "es2024",
    external: ["cloudflare:*"],
  });
}

/** A script or style sheet of the dashboard, as browsers get it. */
function bundlePublic(file: string): Promise<Made<string>> {
  return bundle({
    entryPoints: [join(PACKAGE_ROOT, "src/dashboard/client", file)],
    minify: true,
    format: "iife",
    target: ["chrome111", "firefox115", "safari16.4"],
  });
}

/** The bundles that the Worker imports as text, by import name. */
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
