/**
 * `npm run dev`: runs `sluice serve` and restarts it when a file in src/ changes. Arguments go to `serve`, and the data
 * folder stays. If the server cannot start, this waits for the next change.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { watch } from "node:fs";
import { join } from "node:path";
import { PACKAGE_ROOT } from "../src/cli/package.ts";

/** How long to wait after a change, in ms: an editor or a checkout writes several files. */
const SETTLE_MS = 100;
/** How long requests may take to finish before the server is killed, in ms. */
const GRACE_MS = 3_000;
/** Ctrl-C arrives twice, from the terminal and from npm. A signal within this many ms of the first is ignored. */
const SAME_MS = 500;

let server: ChildProcess | undefined;
let settling: NodeJS.Timeout | undefined;
let restarting = false;
let stopped = 0;

function start(): void {
  // In its own process group. Otherwise Ctrl-C would reach the server twice, and a second signal ends it at once.
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
    // A server that was ended while it started may leave processes behind.
    killGroup(child);
    if (stopped > 0) process.exit();
    if (restarting) {
      restarting = false;
      start();
    } else {
      console.error("\n  The server has ended. It restarts at the next change in src/.\n");
    }
  });
}

/** Asks the server to end, and kills it after the grace period. */
function end(child: ChildProcess): void {
  child.kill("SIGTERM");
  const timer = setTimeout(() => killGroup(child), GRACE_MS);
  child.once("exit", () => clearTimeout(timer));
}

function killGroup({ pid }: ChildProcess): void {
  // The server may have ended already.
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
