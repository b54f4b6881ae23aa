/** Pages that follow what happens: a stream of those parts that have changed, by server-sent events. */
import type { Child } from "hono/jsx";
import { streamSSE } from "hono/streaming";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { onDrain } from "../versions/changes.ts";
import type { Charts } from "./charts.ts";
import { type PageContext, PageError } from "./context.ts";
import { readSession } from "./session.ts";

/** What a page shows at one moment. */
interface Moment {
  readonly parts: Readonly<Record<string, Child>>;
  readonly charts: Charts;
}

/** Grows when all streams are to end. */
let epoch = 0;

// The server waits for its requests before it stops. Browsers reconnect by themselves.
onDrain(() => {
  epoch++;
});

/** Sends something every second: whoever hears nothing for longer knows that the connection is gone. */
export function follow(c: PageContext, look: () => Promise<Moment>): Response {
  return streamSSE(
    c,
    async (stream) => {
      const begun = epoch;
      const sent = new Map<string, string>();
      while (!stream.aborted && epoch === begun) {
        if ((await readSession(c)) === undefined) {
          await stream.writeSSE({ event: "signed-out", data: "" });
          return;
        }
        const { parts, charts } = await look();
        const changed: Record<string, string> = {};
        for (const [id, part] of Object.entries(parts)) {
          const html = part === null || part === undefined ? "" : String(await part);
          if (sent.get(id) === html) continue;
          sent.set(id, html);
          changed[id] = html;
        }
        const drawn = JSON.stringify(charts);
        const isNew = sent.get("charts") !== drawn;
        sent.set("charts", drawn);
        await stream.writeSSE({ data: JSON.stringify({ parts: changed, ...(isNew ? { charts } : {}) }) });
        for (
          let waited = 0;
          waited < LIMITS.dashboard.liveMs && !stream.aborted && epoch === begun;
          waited += WAKE_MS
        ) {
          await stream.sleep(WAKE_MS);
        }
      }
    },
    async (error, stream) => {
      // Of any other fault the stream ends, and the browser comes back.
      if (error instanceof PageError && error.status === 404) {
        await stream.writeSSE({ event: "gone", data: error.message });
      } else {
        log("warn", "live-ended", { path: c.req.path, why: String(error) });
      }
    },
  );
}

/** How soon a stream notices that it is to end, in ms. */
const WAKE_MS = 250;
