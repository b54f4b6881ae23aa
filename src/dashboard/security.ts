/** What browsers may do with the pages, and where their forms may come from. */
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
  // Locally it is plain HTTP; whoever adds TLS in front says how long.
  strictTransportSecurity: false,
});

/** A path of this site, and of no other. */
export function safePath(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])/.test(next) ? next : "/";
}

/** Whether a form was sent by a page of this origin: browsers say so themselves. */
export function isOwnOrigin(c: PageContext): boolean {
  const site = c.req.header("Sec-Fetch-Site");
  if (site !== undefined) return site === "same-origin" || site === "none";
  const origin = c.req.header("Origin");
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === c.req.header("Host");
}
