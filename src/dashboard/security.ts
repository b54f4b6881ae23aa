/** What browsers may load on the pages, and which sites may send their forms. */
import { NONCE, secureHeaders } from "hono/secure-headers";
import type { PageContext } from "./context.ts";

export const securityHeaders = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    // The editor makes a style sheet of its own.
    styleSrc: ["'self'", NONCE],
    // Its one style attribute: `tab-size: 2;`.
    styleSrcAttr: ["'unsafe-hashes'", "'sha256-nXCYc9XlLhJpsbN6/W64jz++4JoojLTMulME0ZXdRug='"],
    imgSrc: ["'self'", "data:"],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    frameAncestors: ["'none'"],
    baseUri: ["'none'"],
  },
  xFrameOptions: "DENY",
  referrerPolicy: "same-origin",
  // Sluice itself speaks plain HTTP. The proxy that adds TLS sets this header.
  strictTransportSecurity: false,
});

/** The path, or `/` if it could lead to another site. */
export function safePath(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])/.test(next) ? next : "/";
}

/** Whether a page of this origin sent the form, according to the headers that browsers set. */
export function isOwnOrigin(c: PageContext): boolean {
  const site = c.req.header("Sec-Fetch-Site");
  if (site !== undefined) return site === "same-origin" || site === "none";
  const origin = c.req.header("Origin");
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === c.req.header("Host");
}
