/** What Sluice adds to a response where the Worker's settings say so: a cookie with a client's identity, and the version. */
import { serialize } from "hono/utils/cookie";
import type { IssuedCookie } from "../versions/types.ts";
import { decide } from "./decide.ts";
import { readKey, readOverride } from "./signals.ts";
import type { Decision, Split } from "./split.ts";

export const VERSION_HEADER = "Sluice-Version";

/** A decision by a key that the client is only about to get. */
interface Issued {
  readonly decision: Decision;
  readonly identity: string;
  readonly cookie: string;
}

/**
 * Gives a client without a key an identity, and decides by that, so that the first response already agrees with the second.
 * Undefined where the request has a key, or needs none.
 */
export function issue(split: Split, request: Request, addressHeader: string): Issued | undefined {
  if (split.issued === undefined || split.stable === undefined || split.everybody !== undefined)
    return undefined;
  const { headers } = request;
  if (readKey(headers, split.affinity, addressHeader) !== undefined) return undefined;
  const identity = crypto.randomUUID();
  const decision = decide(split, readOverride(headers, split.record.worker), identity, Math.random);
  if (decision.reason !== "key") return undefined;
  return { decision, identity, cookie: cookieOf(split.issued, identity, request) };
}

function cookieOf({ name, max_age }: IssuedCookie, identity: string, { url, headers }: Request): string {
  // Browsers take cookies of such names only where they are secure.
  const mustBeSecure = name.startsWith("__Host-") || name.startsWith("__Secure-");
  const secure = mustBeSecure || url.startsWith("https:") || headers.get("X-Forwarded-Proto") === "https";
  return serialize(name, identity, { path: "/", maxAge: max_age, httpOnly: true, sameSite: "Lax", secure });
}

/** The response with what is to be added, if anything. One that opens a WebSocket stays as it is. */
export function decorate(
  response: Response,
  split: Split,
  { version, reason }: Decision,
  cookie: string | undefined,
): Response {
  const adds = cookie !== undefined || split.record.expose_version === true;
  if (response.status === 101 || !adds) return response;
  const decorated = new Response(response.body, response);
  if (split.record.expose_version) {
    decorated.headers.set(VERSION_HEADER, `${version.version_id};reason=${reason}`);
  }
  if (cookie !== undefined) decorated.headers.append("Set-Cookie", cookie);
  return decorated;
}
