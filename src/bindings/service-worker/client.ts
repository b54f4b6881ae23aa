/** Runs a script of the service-worker syntax as a module: its listeners become handlers, its bindings globals. */
import { env } from "cloudflare:workers";

type Listener = (event: object) => unknown;
type Context = Pick<ExecutionContext, "waitUntil" | "passThroughOnException">;

const listeners = new Map<string, Listener[]>();

/** Call this before the script is evaluated. @param parts bindings that are modules of the upload */
export function prepareScript(parts: Readonly<Record<string, unknown>>): void {
  Object.assign(globalThis, env, parts, {
    addEventListener: (type: string, listener: Listener | { handleEvent: Listener }) => {
      const call: Listener =
        typeof listener === "function" ? listener : (event) => listener.handleEvent(event);
      listeners.set(type, [...(listeners.get(type) ?? []), call]);
    },
    removeEventListener: () => {},
  });
}

/** Handlers for the events that the script listens to. Call this after the script was evaluated. */
export function scriptHandlers(): Readonly<Record<string, unknown>> {
  const handlers = { fetch: fetchHandler, scheduled: scheduledHandler };
  return Object.fromEntries(Object.entries(handlers).filter(([type]) => listeners.has(type)));
}

class ScriptEvent extends Event {
  readonly #context: Context;

  constructor(type: string, context: Context) {
    super(type, { cancelable: true });
    this.#context = context;
  }

  waitUntil(promise: Promise<unknown>): void {
    this.#context.waitUntil(promise);
  }

  passThroughOnException(): void {
    this.#context.passThroughOnException();
  }
}

class ScriptFetchEvent extends ScriptEvent {
  readonly request: Request;
  response: Promise<Response> | Response | undefined;

  constructor(request: Request, context: Context) {
    super("fetch", context);
    this.request = request;
  }

  respondWith(response: Promise<Response> | Response): void {
    if (this.response !== undefined) {
      throw new TypeError("FetchEvent.respondWith() has already been called; it can only be called once.");
    }
    this.response = response;
  }
}

function fetchHandler(request: Request, _: unknown, context: Context): Promise<Response> | Response {
  const event = new ScriptFetchEvent(request, context);
  for (const listener of listeners.get("fetch") ?? []) {
    listener(event);
    if (event.response !== undefined) return event.response;
  }
  // No listener answered. As on Cloudflare, the request goes to the origin.
  return fetch(request);
}

async function scheduledHandler(
  { scheduledTime, cron }: ScheduledController,
  _: unknown,
  context: Context,
): Promise<void> {
  const event = Object.assign(new ScriptEvent("scheduled", context), { scheduledTime, cron });
  for (const listener of listeners.get("scheduled") ?? []) listener(event);
}
