/**
 * Says in the log which calls of versions are under way, while the supervisor wants to know: once a process hangs, nobody
 * can ask it. It begins with the first hang, so that requests cost nothing before.
 */
import { log } from "../lib/log.ts";
import { VersionLost } from "../router/ports.ts";

/** A version of a Worker. */
export interface Running {
  readonly worker: string;
  readonly version: string;
}

let isWatching = false;
let paused: ReadonlySet<string> = new Set();
let calls = 0;

/** @param pausing versions that must not run in this process for a while */
export function setWitness(watching: boolean, pausing: readonly string[]): void {
  isWatching = watching;
  paused = new Set(pausing);
}

/** Whether calls have to go through `witnessed`. */
export function isWitnessed(): boolean {
  return isWatching;
}

/**
 * Makes a call, and says that it begins and ends. Rejects with `VersionLost` if the version is paused.
 *
 * @param isEvent whether the call is an event that is held if it ends its process twice (versions/held.ts)
 */
export async function witnessed<Result>(
  { worker, version }: Running,
  run: () => Result,
  isEvent = false,
): Promise<Awaited<Result>> {
  if (!isWatching) return await run();
  if (paused.has(version))
    throw new VersionLost(version, "it is paused: it made its process hang again and again");
  const call = ++calls;
  log("debug", "call-begins", { call, worker, version, isEvent });
  try {
    return await run();
  } finally {
    log("debug", "call-ends", { call });
  }
}
