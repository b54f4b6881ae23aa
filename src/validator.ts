/**
 * The Worker of the disposable process in which `sluice serve` starts each upload. workerd has no CPU limit and one
 * thread, so an endless top-level loop would otherwise stop both listeners. The Node side ends the process at the deadline.
 */
import { exports, WorkerEntrypoint } from "cloudflare:workers";
import { inspect } from "./runtime/inspect.ts";

/** What an upload finds in place of its bindings: code that runs only where it has bindings must not pass unseen. */
export class NoBinding extends WorkerEntrypoint {
  override fetch(): Response {
    return new Response("An upload has no bindings while it is tried out.\n", { status: 503 });
  }
}

export default {
  async fetch(request: Request, env: { LOADER: WorkerLoader }): Promise<Response> {
    const own = exports as unknown as { NoBinding(options: { readonly props: object }): Fetcher };
    const open = () => own.NoBinding({ props: {} });
    return Response.json(await inspect(env.LOADER, await request.arrayBuffer(), open));
  },
} satisfies ExportedHandler<{ LOADER: WorkerLoader }>;
