/** Lets traffic processes read the control process's KV, in the protocol of workerd's KV bindings. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../lib/env.ts";

export class Replica extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    if (request.method !== "GET") return new Response(null, { status: 405 });
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    const { value, metadata } = await this.env.SLUICE_KV.getWithMetadata(key, "stream");
    if (value === null) return new Response(null, { status: 404 });
    const headers = metadata === null ? undefined : { "CF-KV-Metadata": JSON.stringify(metadata) };
    return new Response(value, headers && { headers });
  }
}
