/** What operators reach: the API, and the dashboard, which calls the API in this process. */
import { WorkerEntrypoint } from "cloudflare:workers";
import { createApi, noRoute } from "./control/index.ts";
import { createDashboard } from "./dashboard/index.tsx";
import type { Env } from "./lib/env.ts";
import { LIMITS } from "./lib/limits.ts";

const api = createApi();
// Any path that the API does not claim is a page.
api.route(
  "/",
  createDashboard((request, env, ctx) => api.fetch(request, env, ctx)),
);
api.notFound(noRoute);

/** The control side's entrypoint: a listener of its own locally, a hostname of its own on Cloudflare. */
export class Control extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const response = await api.fetch(request, this.env, this.ctx);
    await discardBody(request);
    return response;
  }
}

/**
 * Reads what a refusal left unread: closing a connection that the client still writes to makes many clients lose the
 * answer. Up to the size of the largest upload; whoever sends more gets the closed connection.
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
    // The client is gone, and with it whom the answer was for.
  }
}
