/** The control side: the API, and the dashboard, which calls the API in this process. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { createApi, noRoute } from "./control/index.ts";
import { createDashboard } from "./dashboard/index.tsx";
import type { Env } from "./lib/env.ts";
import { LIMITS } from "./lib/limits.ts";

const api = createApi();
// A path that the API does not claim is a page.
api.route(
  "/",
  createDashboard((request, env, ctx) => api.fetch(request, env, ctx)),
);
api.notFound(noRoute);

/** The control side's entrypoint: a listener of its own locally, a hostname of its own on Cloudflare. */
export class Control extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    // Two Host headers make a URL that is none.
    if (!URL.canParse(request.url)) return new Response("The Host header is not valid.\n", { status: 400 });
    const response = await api.fetch(request, this.env, this.ctx);
    await discardBody(request);
    return response;
  }
}

/**
 * Reads the rest of a body that a refusal left unread. Otherwise the connection closes while the client still writes,
 * and many clients then lose the answer. Reads at most the size of the largest upload, then the connection closes.
 */
async function discardBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed) return;
  let size = 0;
  try {
    for await (const chunk of request.body as ReadableStream<Uint8Array>) {
      size += chunk.byteLength;
      if (size > LIMITS.uploads.maxUploadBytes) return;
    }
  } catch {
    // The client has disconnected, so nobody waits for the answer.
  }
}
