/** Events that are not requests, and so have no headers: which version gets one, and how it is sent there. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";
import { counted } from "../lib/under-way.ts";
import { decideByKey, decideFallback } from "../router/decide.ts";
import { VersionLost, VersionUnavailable } from "../router/ports.ts";
import type { Decision } from "../router/split.ts";
import { type EventInfo, eventMethod } from "../versions/names.ts";
import { openChannel } from "./channels.ts";
import { deploymentsOf, isolateSource } from "./process.ts";
import { witnessed } from "./witness.ts";

/** The runtime answers to a method of any name. */
type Methods<Outcome> = Readonly<Record<string, (event: object) => Promise<Outcome>>>;

/** An event, and the handler that gets it. */
export interface OutgoingEvent {
  /** Decides the version. */
  readonly key: string;
  /** The event entrypoint of versions. */
  readonly entrypoint: string;
  /** Describes the event for traces. */
  readonly info: EventInfo;
  /** What the version's client takes. */
  readonly event: object;
}

/** What became of an event. */
export interface Delivery<Outcome> {
  /** Undefined if no version could be loaded. */
  readonly version_id: string | undefined;
  /** Undefined if the version has no such handler, or it failed. */
  readonly outcome: Outcome | undefined;
  /** Why it failed; undefined if it did not. */
  readonly error: string | undefined;
}

/** Sends events to the versions of a Worker, in the process that runs their consumers. */
export class EventRunner extends WorkerEntrypoint<Env, { readonly worker: string }> {
  /** Never rejects. */
  send(event: OutgoingEvent): Promise<Delivery<unknown>> {
    return counted(() => this.#send(event));
  }

  async #send({ key, entrypoint, info, event }: OutgoingEvent): Promise<Delivery<unknown>> {
    let version_id: string | undefined;
    try {
      const target = await eventTarget(this.env, this.ctx.props.worker, key);
      version_id = target.version_id;
      const running = { worker: this.ctx.props.worker, version: target.version_id };
      const outcome = await witnessed(running, () => callHandler(target, entrypoint, info, event), true);
      return { version_id, outcome, error: undefined };
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown.message : String(thrown);
      // It was not called.
      if (thrown instanceof VersionLost) version_id = undefined;
      return { version_id, outcome: undefined, error };
    }
  }
}

/** Sends an event to the version of a Worker that its key decides on. Rejects only if the process that runs it ends. */
export function sendEvent<Outcome>(
  env: Env,
  worker: string,
  event: OutgoingEvent,
): Promise<Delivery<Outcome>> {
  return openChannel<EventRunner>(env, "EventRunner", { worker }).send(event) as Promise<Delivery<Outcome>>;
}

/** The version that gets an event. */
interface EventTarget {
  readonly version_id: string;
  readonly stub: WorkerStub;
}

/**
 * The version that gets an event with this key, by the active split of the Worker; the other version if that one cannot
 * be loaded. Rejects if neither can be loaded, or the Worker is not deployed.
 */
async function eventTarget(env: Env, worker: string, key: string): Promise<EventTarget> {
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
async function callHandler<Outcome>(
  { stub }: EventTarget,
  entrypoint: string,
  info: EventInfo,
  event: object,
): Promise<Outcome | undefined> {
  const methods = stub.getEntrypoint(entrypoint) as unknown as Methods<Outcome>;
  return methods[eventMethod(info)]?.(event);
}
