/** Builds dist/ for an installed package: the command, and Sluice's Workers as modules. `npm pack` calls it. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { bundleWorker, WORKERS } from "../src/cli/bundle.ts";
import { PACKAGE_ROOT } from "../src/cli/package.ts";

const dist = join(PACKAGE_ROOT, "dist");
await rm(dist, { recursive: true, force: true });

await build({
  entryPoints: [join(PACKAGE_ROOT, "src/cli/index.ts")],
  outfile: join(dist, "cli.js"),
  bundle: true,
  platform: "node",
  target: "node22.12",
  format: "esm",
  packages: "external",
});

for (const [name, entry] of Object.entries(WORKERS)) {
  const { modules } = await bundleWorker(join(PACKAGE_ROOT, "src", entry), name);
  await mkdir(join(dist, name), { recursive: true });
  for (const { path, contents } of modules) await writeFile(join(dist, name, path), contents);
}
