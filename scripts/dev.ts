/**
 * `npm run dev`: `sluice serve` that is started again when a file below src/ changes. Arguments go to `serve`; the data
 * folder stays. A server that cannot start is left alone until the next change.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { watch } from "node:fs";
import { join } from "node:path";
import { PACKAGE_ROOT } from "../src/cli/package.ts";

/** Pause after a change, in ms: an editor or a checkout writes more than one file. */
const SETTLE_MS = 100;
/** How long requests get to finish before the server is ended without them, in ms. */
const GRACE_MS = 3_000;
/** Ctrl-C comes twice, from the terminal and from npm: a signal this soon after the first one is the same, in ms. */
const SAME_MS = 500;

let server: ChildProcess | undefined;
let settling: NodeJS.Timeout | undefined;
let restarting = false;
let stopped = 0;

function start(): void {
  // In a process group of its own: Ctrl-C would reach the server twice otherwise, which is how it is told not to wait.
  const child = spawn(
    process.execPath,
    [join(PACKAGE_ROOT, "bin/sluice.js"), "serve", ...process.argv.slice(2)],
    {
      stdio: ["ignore", "inherit", "inherit"],
      detached: true,
    },
  );
  server = child;
  child.once("exit", () => {
    server = undefined;
    // Where it was ended while it started, its processes may not know of it.
    killGroup(child);
    if (stopped > 0) process.exit();
    if (restarting) {
      restarting = false;
      start();
    } else {
      console.error("\n  The server has ended. It starts again with the next change below src/.\n");
    }
  });
}

/** Asks the server to end, and makes it after the grace. */
function end(child: ChildProcess): void {
  child.kill("SIGTERM");
  const timer = setTimeout(() => killGroup(child), GRACE_MS);
  child.once("exit", () => clearTimeout(timer));
}

function killGroup({ pid }: ChildProcess): void {
  // It may have ended by itself.
  if (pid !== undefined) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {}
  }
}

function restart(): void {
  if (stopped > 0 || restarting) return;
  if (server === undefined) {
    start();
  } else {
    restarting = true;
    end(server);
  }
}

watch(join(PACKAGE_ROOT, "src"), { recursive: true }, () => {
  clearTimeout(settling);
  settling = setTimeout(restart, SETTLE_MS);
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    const now = Date.now();
    if (stopped > 0 && now - stopped < SAME_MS) return;
    const again = stopped > 0;
    stopped = now;
    if (server === undefined) process.exit();
    if (again) killGroup(server);
    else end(server);
  });
}

start();
