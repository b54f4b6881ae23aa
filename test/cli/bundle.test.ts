/** A checkout starts what its own files say, also when it is a copy with the cache of the original in it. */
import { execFileSync } from "node:child_process";
import { appendFile, cp, mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ROOT } from "../support/server.ts";

const CACHE = "node_modules/.cache/sluice";

/** What a start of the checkout runs as the validator, the smaller one of Sluice's Workers. */
function bundled(checkout: string): { readonly build: string; readonly isEdited: boolean } {
  const script = `const { loadBundle } = await import(${JSON.stringify(join(checkout, "src/cli/bundle.ts"))});
    const { build, modules } = await loadBundle("validator");
    console.log(JSON.stringify({ build, isEdited: modules[0].contents.includes("globalThis.edited") }));`;
  const args = ["--input-type=module", "-e", script];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

/** A checkout that shares the packages of `original` and has all else of its own, its cache included. */
async function copyOf(original: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-checkout-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const times = { recursive: true, preserveTimestamps: true };
  for (const name of ["src", "package.json", "package-lock.json", "tsconfig.json", "tsconfig.base.json"]) {
    await cp(join(original, name), join(folder, name), times);
  }
  await mkdir(join(folder, "node_modules"));
  const packages = (await readdir(join(ROOT, "node_modules"))).filter((name) => !name.startsWith("."));
  for (const name of packages) {
    await symlink(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  }
  await cp(join(original, CACHE), join(folder, CACHE), times).catch((error) => {
    // The original may not have been started yet.
    if (error.code !== "ENOENT") throw error;
  });
  return folder;
}

test("a copied checkout runs its own files, and the original keeps running its own", {
  timeout: 120_000,
}, async () => {
  const original = await copyOf(ROOT);
  const before = bundled(original);
  const copy = await copyOf(original);
  expect(bundled(copy)).toEqual(before);
  await appendFile(join(copy, "src/validator.ts"), "\nglobalThis.edited = true;\n");
  expect(bundled(copy).isEdited).toBe(true);
  expect(bundled(original)).toEqual(before);
});
