/** Builds the files that the Worker imports as text, for `wrangler deploy`. package.json maps imports to files. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { TEXTS } from "../src/cli/bundle.ts";
import { PACKAGE_ROOT } from "../src/cli/package.ts";

for (const [name, bundle] of Object.entries(TEXTS)) {
  const file = join(PACKAGE_ROOT, "dist", `${name.slice(1)}.txt`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, (await bundle()).value);
}
