/** Events that come without a request, and so without headers: which version gets one, and how it gets there. */
import type { Env } from "../lib/env.ts";
import { decideByKey, decideFallback } from "../router/decide.ts";
import { VersionUnavailable } from "../router/ports.ts";
import type { Decision } from "../router/split.ts";
import { deploymentsOf, isolateSource } from "./process.ts";

/** Where an event goes. */
interface EventTarget {
  readonly version_id: string;
  readonly stub: WorkerStub;
}

/**
 * The version of a Worker that an event with this key goes to, by the active split; the other one where it cannot be
 * loaded. Rejects where there is none.
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
