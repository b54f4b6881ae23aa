/** From a decision to a response. */
import type { Context } from "hono";
import { log } from "../lib/log.ts";
import { decideFallback } from "./decide.ts";
import {
  type MeterPort,
  type Sighting,
  startOf,
  type VersionHandler,
  VersionLost,
  type VersionSource,
  VersionUnavailable,
} from "./ports.ts";
import type { Decision, Outcome, Split } from "./split.ts";

/** Seconds after which a client may try again when no version can be loaded. */
const RETRY_AFTER_SECONDS = "5";

/** Where versions come from, who counts their answers, and who watches this request. */
export interface Dispatch {
  readonly source: VersionSource;
  readonly meter?: MeterPort | undefined;
  /** Undefined for a request that no rollout counts. */
  readonly sighting?: Sighting | undefined;
}

/** Serves the request with the version decided on, or with the other one where it cannot be loaded. Never rejects. */
export function dispatch(
  to: Dispatch,
  split: Split,
  decision: Decision,
  c: Context,
): Promise<Response> | Response {
  const handler = to.source.ready(decision.instance);
  return handler === undefined ? loadAndRun(to, split, decision, c) : run(handler, to, decision, c);
}

/**
 * An exception of the version is its answer to this request: the body is never sent to another version. Not an async
 * function: each of its promises would cost every request a turn of the microtask queue.
 */
function run(
  handler: VersionHandler,
  { meter, sighting }: Dispatch,
  decision: Decision,
  c: Context,
): Promise<Response> | Response {
  const ctx = c.executionCtx as ExecutionContext;
  const started = meter === undefined ? 0 : Date.now();
  const answered = (response: Response): Response => {
    meter?.count(decision, outcomeOf(response), startOf(response, started), ctx);
    return sighting === undefined ? response : sighting.answered(response);
  };
  const failed = (error: unknown): Response => {
    meter?.count(decision, "exception", started, ctx);
    sighting?.threw(error);
    return exceptionOf(decision, error);
  };
  try {
    const response = handler(c.req.raw, c.env, ctx);
    return response instanceof Promise ? response.then(answered, failed) : answered(response);
  } catch (error) {
    return failed(error);
  }
}

function outcomeOf({ status }: Response): Outcome {
  return status >= 500 ? "error" : "ok";
}

function exceptionOf({ worker, version }: Decision, error: unknown): Response {
  if (error instanceof VersionLost) {
    log("error", "version-lost", { worker, version: version.version_id, why: error.message });
    return unavailable();
  }
  log("error", "version-exception", { worker, version: version.version_id, exception: String(error) });
  return new Response("The Worker failed to answer this request.\n", { status: 500 });
}

/** Whether a version was asked for by name: no deployment need have it. */
function isVisit({ reason }: Decision): boolean {
  return reason === "preview" || reason === "pin";
}

async function loadAndRun(to: Dispatch, split: Split, decision: Decision, c: Context): Promise<Response> {
  const { source, meter } = to;
  const { worker } = decision;
  const started = Date.now();
  let { sighting } = to;
  for (let next: Decision | undefined = decision; next !== undefined; ) {
    const { instance } = next;
    try {
      const handler = source.ready(instance) ?? (await source.load(worker, instance, isVisit(next)));
      return await run(handler, { source, meter, sighting }, next, c);
    } catch (error) {
      // The source has logged why.
      if (!isStandIn(next, error)) {
        sighting?.unavailable(error);
        sighting = undefined;
      }
      next = next.reason === "fallback" ? undefined : decideFallback(split, next);
    }
  }
  meter?.count(decision, "error", started, c.executionCtx as ExecutionContext);
  return unavailable();
}

/**
 * Whether the stable version's own isolate stands in for its baseline, which does not load. The clients of the baseline
 * still count: without them, the candidate would be compared with nobody.
 */
function isStandIn({ instance, version }: Decision, error: unknown): boolean {
  return instance !== version.version_id && error instanceof VersionUnavailable && error.isItsFault;
}

function unavailable(): Response {
  return new Response("The Worker is not available at the moment.\n", {
    status: 503,
    headers: { "Retry-After": RETRY_AFTER_SECONDS },
  });
}
