/**
 * What Sluice adds to a response where the Worker's settings ask for it, the client's identity and the version, and what
 * it takes away: a word of the version to the rollout.
 */
import { serialize } from "hono/utils/cookie";
import type { IssuedCookie } from "../versions/types.ts";
import { OUTCOME_HEADER, type RequestData } from "./signals.ts";
import type { Decision, Split } from "./split.ts";

export const VERSION_HEADER = "Sluice-Version";

/** The response with these changes, if any. A response that opens a WebSocket stays as it is. */
export function decorate(
  split: Split,
  request: RequestData,
  decision: Decision,
  response: Response,
): Response {
  const cookie =
    split.issued === undefined || decision.identity === undefined
      ? undefined
      : cookieOf(split.issued, decision.identity, request);
  const adds = cookie !== undefined || split.record.expose_version === true;
  const tells = split.record.rollout !== undefined && response.headers.has(OUTCOME_HEADER);
  if (response.status === 101 || !(adds || tells)) return response;
  const decorated = new Response(response.body, response);
  if (tells) decorated.headers.delete(OUTCOME_HEADER);
  if (split.record.expose_version) {
    decorated.headers.set(VERSION_HEADER, `${decision.version.version_id};reason=${decision.reason}`);
  }
  if (cookie !== undefined) decorated.headers.append("Set-Cookie", cookie);
  return decorated;
}

function cookieOf({ name, max_age }: IssuedCookie, identity: string, { url, headers }: RequestData): string {
  // Browsers take cookies of such names only where they are secure.
  const mustBeSecure = name.startsWith("__Host-") || name.startsWith("__Secure-");
  const secure = mustBeSecure || url.startsWith("https:") || headers.get("X-Forwarded-Proto") === "https";
  return serialize(name, identity, { path: "/", maxAge: max_age, httpOnly: true, sameSite: "Lax", secure });
}
