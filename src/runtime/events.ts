/** Events that are not requests, and so have no headers: which version gets one, and how it is sent there. */
import type { Env } from "../lib/env.ts";
import { decideByKey, decideFallback } from "../router/decide.ts";
import { VersionUnavailable } from "../router/ports.ts";
import type { Decision } from "../router/split.ts";
import { type EventInfo, eventMethod } from "../versions/names.ts";
import { deploymentsOf, isolateSource } from "./process.ts";

/** The runtime answers to a method of any name. */
type Methods<Outcome> = Readonly<Record<string, (event: object) => Promise<Outcome>>>;

/** The version that gets an event. */
interface EventTarget {
  readonly version_id: string;
  readonly stub: WorkerStub;
}

/**
 * The version that gets an event with this key, by the active split of the Worker; the other version if that one cannot
 * be loaded. Rejects if neither can be loaded, or the Worker is not deployed.
 */
export async function eventTarget(env: Env, worker: string, key: string): Promise<EventTarget> {
  const split = await deploymentsOf(env).load(worker);
  if (split === undefined) throw new Error(`the Worker "${worker}" is not deployed`);
  const source = isolateSource(env);
  let why: unknown;
  for (let next: Decision | undefined = decideByKey(split, key); next !== undefined; ) {
    const { version_id } = next.version;
    try {
      if (source.worker(version_id) === undefined) await source.load(worker, version_id);
      const stub = source.worker(version_id);
      if (stub !== undefined) return { version_id, stub };
    } catch (error) {
      if (!(error instanceof VersionUnavailable)) throw error;
      why = error;
    }
    next = next.reason === "fallback" ? undefined : decideFallback(split, next);
  }
  throw why ?? new Error(`no version of "${worker}" can be loaded`);
}

/**
 * Calls a version's event entrypoint (bindings/shared/event-entrypoint.ts). Rejects if the version has no such handler.
 *
 * @param info describes the event for traces
 * @param event what the version's client takes
 */
export async function sendEvent<Outcome>(
  { stub }: EventTarget,
  entrypoint: string,
  info: EventInfo,
  event: object,
): Promise<Outcome | undefined> {
  const methods = stub.getEntrypoint(entrypoint) as unknown as Methods<Outcome>;
  return methods[eventMethod(info)]?.(event);
}
