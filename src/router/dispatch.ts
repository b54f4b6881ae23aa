/** From a decision to a response. */
import { log } from "../lib/log.ts";
import type { Meter } from "../metrics/meter.ts";
import { decideFallback } from "./decide.ts";
import type { VersionHandler, VersionSource } from "./ports.ts";
import type { Decision, Split } from "./split.ts";

/** Seconds after which a client may try again when no version can be loaded. */
const RETRY_AFTER_SECONDS = "5";

/** Where versions come from, and who counts what they answer. */
interface Dispatch {
  readonly source: VersionSource;
  readonly meter?: Meter | undefined;
}

/** Serves the request with the version decided on, or with the other one where it cannot be loaded. */
export function dispatch(
  to: Dispatch,
  split: Split,
  decision: Decision,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> | Response {
  const handler = to.source.ready(decision.version.version_id);
  return handler === undefined
    ? loadAndRun(to, split, decision, request, env, ctx)
    : run(handler, to.meter, split, decision, request, env, ctx);
}

/**
 * An exception of the version is its answer to this request: the body is never sent to another version. Not an async
 * function: each of its promises would cost every request a turn of the microtask queue.
 */
function run(
  handler: VersionHandler,
  meter: Meter | undefined,
  split: Split,
  decision: Decision,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> | Response {
  const started = meter === undefined ? 0 : Date.now();
  const answered = (response: Response): Response => {
    const outcome = response.status >= 500 ? "error" : "ok";
    meter?.count(split.record.worker, decision, outcome, started, ctx);
    return response;
  };
  const failed = (error: unknown): Response => {
    meter?.count(split.record.worker, decision, "exception", started, ctx);
    return exceptionOf(split, decision, error);
  };
  try {
    const response = handler(request, env, ctx);
    return response instanceof Promise ? response.then(answered, failed) : answered(response);
  } catch (error) {
    return failed(error);
  }
}

function exceptionOf(split: Split, decision: Decision, error: unknown): Response {
  log("error", "version-exception", {
    worker: split.record.worker,
    version: decision.version.version_id,
    exception: String(error),
  });
  return new Response("The Worker failed to answer this request.\n", { status: 500 });
}

/** Whether a version was asked for by name: no deployment need have it. */
function isVisit({ reason }: Decision): boolean {
  return reason === "preview" || reason === "pin";
}

async function loadAndRun(
  { source, meter }: Dispatch,
  split: Split,
  decision: Decision,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> {
  const { worker } = split.record;
  const started = Date.now();
  for (let next: Decision | undefined = decision; next !== undefined; ) {
    const { version_id } = next.version;
    try {
      const handler = source.ready(version_id) ?? (await source.load(worker, version_id, isVisit(next)));
      return await run(handler, meter, split, next, request, env, ctx);
    } catch {
      // The source has logged why.
      next = next.reason === "fallback" ? undefined : decideFallback(split, next);
    }
  }
  meter?.count(worker, decision, "error", started, ctx);
  return new Response("The Worker is not available at the moment.\n", {
    status: 503,
    headers: { "Retry-After": RETRY_AFTER_SECONDS },
  });
}
