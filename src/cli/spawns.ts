/** Finds the processes that Miniflare starts, which it does not tell: those spawned within an async context of ours. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";

type Seen = (child: ChildProcess) => void;

const watcher = new AsyncLocalStorage<Seen>();

subscribe("child_process", (message) => {
  watcher.getStore()?.((message as { process: ChildProcess }).process);
});

/** Runs `start`, and calls `seen` with every process that it spawns then or later, restarts included. */
export function watchSpawns<T>(seen: Seen, start: () => T): T {
  return watcher.run(seen, start);
}

/** Calls `spawned` once the process has an id. */
export function whenSpawned(child: ChildProcess, spawned: (pid: number) => void): void {
  if (child.pid !== undefined) spawned(child.pid);
  else child.once("spawn", () => spawned(child.pid as number));
}
