/** Writes what `#client` stands for where wrangler bundles Sluice's Worker (wrangler.toml). */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bundleClient } from "../src/cli/bundle.ts";
import { PACKAGE_ROOT } from "../src/cli/package.ts";

await mkdir(join(PACKAGE_ROOT, "dist"), { recursive: true });
await writeFile(join(PACKAGE_ROOT, "dist/client.txt"), await bundleClient());
