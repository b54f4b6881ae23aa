/** Events that are held (versions/held.ts): what code runs a Worker's events, and who is told that one is held. */
import type { Env } from "../lib/env.ts";
import { log } from "../lib/log.ts";
import { codeOf } from "../versions/held.ts";
import { parseDeploymentRecord } from "../versions/record.ts";
import { readRecord } from "../versions/replica.ts";
import type { HeldEvent } from "../versions/types.ts";
import { openChannel } from "./channels.ts";

/** `HeldSink` in the registry's folder. */
interface Sink {
  hold(event: Omit<HeldEvent, "since">): Promise<void>;
}

/** The code that runs a Worker's events now; undefined while it is not deployed. Rejects if KV cannot be read. */
export async function codeNow({ SLUICE_KV }: Env, worker: string): Promise<string | undefined> {
  const record = parseDeploymentRecord((await readRecord(SLUICE_KV, worker)) ?? "");
  return record && codeOf(record);
}

/** Has the Worker's registry note that an event is held. Never rejects. */
export async function reportHeld(env: Env, worker: string, event: Omit<HeldEvent, "since">): Promise<void> {
  try {
    await openChannel<Sink>(env, "HeldSink", { worker }).hold(event);
  } catch (error) {
    log("error", "event-held", { worker, ...event, why: String(error) });
  }
}

/** Another text after each end of this process that nobody asked for. Empty on Cloudflare. */
export function lifetimeOf({ SLUICE_LIFETIME }: Env): string {
  return SLUICE_LIFETIME ?? "";
}
