/**
 * A Worker that streams: a WebSocket echo, uploads, downloads and events. If a request has a `name`, the response waits
 * after its first chunk for a request to `/release` with that name. `/seen` says whether the first chunk of the named
 * upload has arrived.
 */
import { CHUNK_BYTES, eventOf } from "../input.ts";

const UPLOAD_BUFFER_BYTES = 256 * 1024;

const released = new Set<string | null>([null]);
const seen = new Set<string | null>();
const chunk = new Uint8Array(CHUNK_BYTES).fill("x".charCodeAt(0));

export default {
  fetch(request: Request): Response | Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const name = searchParams.get("name");
    const count = Number(searchParams.get("count"));
    switch (pathname) {
      case "/echo":
        return echo();
      case "/upload":
        return upload(request, name);
      case "/download":
        return stream("application/octet-stream", count, name, () => chunk);
      case "/events": {
        const encoder = new TextEncoder();
        return stream("text/event-stream", count, name, (n) => encoder.encode(eventOf(n)));
      }
      case "/seen":
        return new Response(String(seen.has(name)));
      case "/release":
        released.add(name);
        return new Response();
      default:
        return new Response(null, { status: 404 });
    }
  },
};

function echo(): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  server.addEventListener("message", ({ data }) => server.send(data));
  return new Response(null, { status: 101, webSocket: client });
}

/** Reads into one large buffer. Iterating would give pieces of 4 KiB, which cost more than the router does. */
async function upload(request: Request, name: string | null): Promise<Response> {
  let bytes = 0;
  const reader = request.body?.getReader({ mode: "byob" });
  for (let buffer = new ArrayBuffer(UPLOAD_BUFFER_BYTES); reader !== undefined; ) {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done) break;
    bytes += value.byteLength;
    buffer = value.buffer;
    seen.add(name);
  }
  return new Response(String(bytes));
}

/** Sends chunk by chunk, as fast as the client reads. */
function stream(
  type: string,
  count: number,
  name: string | null,
  chunkOf: (n: number) => Uint8Array,
): Response {
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      while (sent === 1 && !released.has(name)) await scheduler.wait(5);
      controller.enqueue(chunkOf(sent++));
      if (sent === count) controller.close();
    },
  });
  return new Response(body, { headers: { "Content-Type": type } });
}
