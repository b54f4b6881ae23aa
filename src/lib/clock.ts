/** The time, where decisions depend on it. A server can be started at another one: `--clock-offset`. */
import type { Env } from "./env.ts";

/** The time in ms since the epoch. */
export function nowOf({ SLUICE_CLOCK_OFFSET_MS = 0 }: Pick<Env, "SLUICE_CLOCK_OFFSET_MS">): number {
  return Date.now() + SLUICE_CLOCK_OFFSET_MS;
}

/** The time for an alarm that is to fire at `time` of `nowOf`. */
export function alarmTime(
  { SLUICE_CLOCK_OFFSET_MS = 0 }: Pick<Env, "SLUICE_CLOCK_OFFSET_MS">,
  time: number,
): number {
  return time - SLUICE_CLOCK_OFFSET_MS;
}
