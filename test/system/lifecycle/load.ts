/** Requests that make a version hang, all the time. */
import type { Upload } from "../../support/client.ts";
import type { Server } from "../../support/server.ts";

/** Answers "bad", and loops for ever on /loop. */
export const LOOPING: Upload = {
  modules: {
    "index.js": {
      content: `export default { fetch(request) {
  if (new URL(request.url).pathname === "/loop") for (;;);
  return new Response("bad");
} };`,
    },
  },
};

/** Sends ten requests a second to a path, whatever becomes of them, until the function that it returns is called. */
export function underLoad(server: Server, worker: string, path: string): () => void {
  const timer = setInterval(() => void server.traffic(worker, { path }).catch(() => {}), 100);
  return () => clearInterval(timer);
}
