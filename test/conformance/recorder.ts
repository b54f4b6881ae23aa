/** A proxy in front of the API that keeps what wrangler sent and what it got. */
import { once } from "node:events";
import { createServer, request } from "node:http";
import { onTestFinished } from "vitest";
import type { Server } from "../support/server.ts";

export interface Exchange {
  readonly method: string;
  /** Below the account, with the query. */
  readonly path: string;
  /** Bytes as Latin-1, so that parts of a multipart body can be searched. */
  readonly sent: string;
  readonly status: number;
  readonly received: string;
}

export interface Recorder {
  /** For `Project.wrangler`. */
  readonly env: { readonly CLOUDFLARE_API_BASE_URL: string };
  /** In the order of the answers. */
  readonly exchanges: readonly Exchange[];
}

/** A recorder for one test. */
export async function useRecorder(server: Server): Promise<Recorder> {
  const exchanges: Exchange[] = [];
  const proxy = createServer(async (incoming, outgoing) => {
    const sent = await readAll(incoming);
    const { method = "GET", url = "/", headers } = incoming;
    const upstream = request({ host: "127.0.0.1", port: server.controlPort, method, path: url, headers });
    upstream.on("error", () => outgoing.destroy());
    upstream.on("response", async (response) => {
      const received = await readAll(response);
      const status = response.statusCode ?? 0;
      exchanges.push({
        method,
        path: url.replace("/client/v4", "").replace("/accounts/sluice", ""),
        sent: sent.toString("latin1"),
        status,
        received: received.toString(),
      });
      outgoing.writeHead(status, response.headers).end(received);
    });
    upstream.end(sent);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const address = proxy.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    env: { CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${address.port}/client/v4` },
    exchanges,
  };
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
