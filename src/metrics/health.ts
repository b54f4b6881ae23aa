/**
 * How the server's processes are, as the supervisor said last: in memory, since a process that has just started knows
 * nothing about the others, and is told within seconds.
 */
import { LIMITS } from "../lib/limits.ts";
import type { Health, HealthSample } from "./types.ts";

/** Name of the process that starts the others, `sluice serve` itself. */
export const SUPERVISOR = "supervisor";

let last: { readonly sample: HealthSample; readonly at: number } | undefined;

/** @param now in ms since the epoch */
export function setHealth(sample: HealthSample, now: number): void {
  last = { sample, at: now };
}

/** @param now in ms since the epoch */
export function healthAt(now: number): Health {
  if (last === undefined) return { processes: [], disk: null, sampled_on: null, is_stale: false };
  const { sample, at } = last;
  const sampled_on = new Date(at).toISOString();
  return { ...sample, sampled_on, is_stale: now - at > LIMITS.metrics.sampleStaleMs };
}
