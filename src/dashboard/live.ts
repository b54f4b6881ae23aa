/** Live pages: a stream of server-sent events with those parts of a page that changed. */
import type { Child } from "hono/jsx";
import { streamSSE } from "hono/streaming";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { onDrain } from "../versions/changes.ts";
import type { Charts } from "./charts.ts";
import { type PageContext, PageError } from "./context.ts";
import { readSession } from "./session.ts";

/** The content of a live page at one moment: HTML by element id, and the data of its charts. */
interface Moment {
  readonly parts: Readonly<Record<string, Child>>;
  readonly charts: Charts;
}

/** Grows when all streams must end. */
let epoch = 0;

// Before it stops, the server waits for open requests, and a stream would never end. Browsers reconnect by themselves.
onDrain(() => {
  epoch++;
});

/** Sends an event every second, even without a change: a browser that hears nothing knows that the connection is lost. */
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
      // Any other error ends the stream, and the browser reconnects.
      if (error instanceof PageError && error.status === 404) {
        await stream.writeSSE({ event: "gone", data: error.message });
      } else {
        log("warn", "live-ended", { path: c.req.path, why: String(error) });
      }
    },
  );
}

/** How often a stream checks whether it must end, in ms. */
const WAKE_MS = 250;
