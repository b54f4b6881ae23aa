/** Scripts and styles, bundled with the Worker: pages load nothing from another host. */
import type { Context } from "hono";
import charts from "#dashboard/charts";
import editor from "#dashboard/editor";
import main from "#dashboard/main";
import style from "#dashboard/style";
import type { Env } from "../lib/env.ts";

const SCRIPT = "text/javascript; charset=utf-8";

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#0b4f76"/><path d="M4 21h11V11H4z" fill="#fff"/><path d="M17 21h11v-4H17z" fill="#f0a030"/></svg>`;

const FILES: Readonly<Record<string, readonly [type: string, text: string]>> = {
  "main.js": [SCRIPT, main],
  "charts.js": [SCRIPT, charts],
  "editor.js": [SCRIPT, editor],
  "style.css": ["text/css; charset=utf-8", style],
  "icon.svg": ["image/svg+xml", ICON],
};

/** GET /static/{build}/{file}. The address of another build answers with the current file, not cached. */
export function staticFile(c: Context<{ Bindings: Env }>): Response | Promise<Response> {
  const { build, file = "" } = c.req.param() as { build?: string; file?: string };
  const found = Object.hasOwn(FILES, file) ? FILES[file] : undefined;
  if (found === undefined) return c.notFound();
  const [type, text] = found;
  return new Response(text, {
    headers: {
      "Content-Type": type,
      "Cache-Control": build === c.env.SLUICE_BUILD ? "public, max-age=31536000, immutable" : "no-cache",
      "X-Content-Type-Options": "nosniff",
      ...(c.req.header("Accept-Encoding")?.includes("gzip") ? { "Content-Encoding": "gzip" } : {}),
    },
  });
}
