/**
 * Events that are held: a message, an alarm or a run of a cron that was under way at two ends of its process is not run
 * again while the same versions would run it. Otherwise it would end the process at every start. Pure.
 */
import type { DeploymentRecord } from "./record.ts";

/** How often the process ended while an event ran, and with which code. */
export interface Deaths {
  readonly count: number;
  /** See `codeOf`. */
  readonly code: string;
}

/** Ends after which an event is held. The first may have been another's fault; after it, the event runs alone. */
export const HELD_AT = 2;

/**
 * The code that runs a Worker's events: another text as soon as a version joins or leaves the split, or an operator has
 * released what is held.
 */
export function codeOf({ versions, released }: Pick<DeploymentRecord, "versions" | "released">): string {
  const ids = versions.filter(({ percentage }) => percentage > 0).map(({ version_id }) => version_id);
  return [...ids.sort(), ...(released === undefined ? [] : [released])].join(" ");
}

/** Takes in that the process ended while the event ran. What other code did no longer counts. */
export function died(before: Deaths | undefined, code: string): Deaths {
  return { count: before?.code === code ? before.count + 1 : 1, code };
}

/** Whether the event must not run. @param code that would run it now */
export function isHeld(deaths: Deaths | undefined, code: string): boolean {
  return deaths !== undefined && deaths.code === code && deaths.count >= HELD_AT;
}
