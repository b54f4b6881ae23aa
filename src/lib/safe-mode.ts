/** Whether this server is in safe mode: it runs stable versions only, and no alarms, queues or crons. */
import { LIMITS } from "./limits.ts";
import { isStopping } from "./under-way.ts";

/** The part of Sluice's bindings that says so. */
export interface SafeModeEnv {
  readonly SLUICE_SAFE_MODE?: string;
}

export function isSafeMode({ SLUICE_SAFE_MODE }: SafeModeEnv): boolean {
  return SLUICE_SAFE_MODE !== undefined;
}

/**
 * Call this first in an alarm that runs versions' code. In safe mode, and when the server stops, it puts the alarm off: the
 * alarm stays on disk, and fires soon after the next normal start.
 *
 * @returns whether the alarm must do nothing
 */
export async function putOff(
  env: SafeModeEnv,
  storage: { setAlarm(time: number): Promise<void> },
): Promise<boolean> {
  if (!isSafeMode(env) && !isStopping()) return false;
  await storage.setAlarm(Date.now() + LIMITS.bindings.safeModeMs);
  return true;
}
