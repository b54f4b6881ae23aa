/**
 * The Worker of the disposable process in which `sluice serve` starts each upload. workerd has no CPU limit and one
 * thread, so an endless top-level loop would otherwise stop both listeners. The Node side ends the process at the deadline.
 */
import { inspect } from "./runtime/inspect.ts";

export default {
  async fetch(request: Request, env: { LOADER: WorkerLoader }): Promise<Response> {
    return Response.json(await inspect(env.LOADER, await request.arrayBuffer()));
  },
} satisfies ExportedHandler<{ LOADER: WorkerLoader }>;
