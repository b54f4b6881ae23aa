/** Passes events that are not requests to a version's handlers. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { EVENT_METHOD } from "../../versions/names.ts";
import { captured } from "./captured.ts";

type Main<Handler> = Handler | (new (ctx: unknown, env: unknown) => Handler);

/**
 * An entrypoint whose methods all do the same. A method's name describes the event, for the traces of the call
 * (`eventMethod` in versions/names.ts).
 *
 * @param run calls the version's own handler
 */
export function eventEntrypoint<Handler, Event, Outcome>(
  main: Main<Handler>,
  run: (handler: Handler, event: Event, env: unknown, ctx: ExecutionContext) => Promise<Outcome>,
) {
  return class extends WorkerEntrypoint {
    constructor(ctx: ExecutionContext, env: object) {
      super(ctx, env as never);
      const call = (event: Event) => {
        const handler =
          typeof main === "function" ? new (main as new (...args: unknown[]) => Handler)(ctx, env) : main;
        return run(handler, event, env, ctx);
      };
      // biome-ignore lint/correctness/noConstructorReturn: the runtime looks methods up on the returned object
      return new captured.Proxy(this, {
        get: (own, name) =>
          typeof name === "string" && captured.startsWith(name, EVENT_METHOD)
            ? call
            : captured.getProperty(own, name, own),
      });
    }
  };
}
