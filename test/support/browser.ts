/** A real Chromium, out of an npm package: nothing has to be installed on the machine. */
import bundled from "@sparticuz/chromium";
import { type Browser, chromium } from "playwright-core";

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
    executablePath: await bundled.executablePath(),
    args: FLAGS,
    chromiumSandbox: false,
  });
}
