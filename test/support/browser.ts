/** A real Chromium, out of an npm package: nothing has to be installed on the machine. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";
import manifest from "../../package.json" with { type: "json" };

/** Flags for a container without a display, a sandbox of its own or a network. */
const FLAGS = [
  "--no-sandbox",
  "--no-zygote",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: await unpacked(),
    args: FLAGS,
    chromiumSandbox: false,
  });
}

/**
 * Path of the browser, unpacked on the first call on this machine. The package takes a file that is there for a whole one:
 * two test files that start at once, or a run that was stopped while it unpacked, left a browser that did not start. So it
 * unpacks into a folder of its own here, which gets its name when it is complete.
 */
async function unpacked(): Promise<string> {
  const folder = join(tmpdir(), `sluice-chromium-${manifest.devDependencies["@sparticuz/chromium"]}`);
  if (!existsSync(folder)) {
    const own = await mkdtemp(`${folder}-`);
    const unpack = 'import bundled from "@sparticuz/chromium"; await bundled.executablePath();';
    await promisify(execFile)(process.execPath, ["--input-type=module", "-e", unpack], {
      cwd: import.meta.dirname,
      env: { ...process.env, TMPDIR: own },
    });
    // Where another process was first, its browser is as good.
    await rename(own, folder).catch(() => rm(own, { recursive: true }));
  }
  return join(folder, "chromium");
}
