/**
 * Sessions. The cookie holds a random value, and no part of the token. The account keeps the value's SHA-256 beside the id
 * of the token that opened the session. The cookie is HttpOnly and SameSite=Strict. A session ends after
 * `LIMITS.dashboard.sessionMs`, with its token, or when the user signs out everywhere.
 */

import { getCookie, setCookie } from "hono/cookie";
import { ADMIN_ID } from "../account/access.ts";
import { adminOf, type Identity, identify, identityOf } from "../account/identity.ts";
import { accountOf } from "../account/registry.ts";
import { utf8 } from "../lib/bytes.ts";
import { LIMITS } from "../lib/limits.ts";
import { equalInConstantTime, randomText, sha256Hex } from "../lib/secrets.ts";
import type { PageContext, SignedIn } from "./context.ts";

const COOKIE = "sluice_session";

const sha256 = (text: string) => sha256Hex(utf8(text));

/** Opens a session and sets its cookie. Undefined if the token is not valid. */
export async function signIn(c: PageContext, token: string): Promise<Identity | undefined> {
  const token_sha256 = await sha256(token);
  const identity = await identify(c.env, token_sha256);
  if (identity === undefined) return undefined;
  const value = randomText();
  const expires = Date.now() + LIMITS.dashboard.sessionMs;
  const session = { token_id: identity.author.id, token_sha256, csrf: randomText(), expires };
  await accountOf(c.env).openSession(await sha256(value), session);
  setCookie(c, COOKIE, value, { ...attributesOf(c), maxAge: LIMITS.dashboard.sessionMs / 1_000 });
  return identity;
}

/** The user of the request's session. Undefined without a session, or if it has ended. */
export async function readSession(c: PageContext): Promise<SignedIn | undefined> {
  const value = getCookie(c, COOKIE);
  if (value === undefined) return undefined;
  const found = await accountOf(c.env).session(await sha256(value));
  if (found === undefined) return undefined;
  const { session, token } = found;
  if (session.token_id !== ADMIN_ID) return token && { ...identityOf(c.env, token), csrf: session.csrf };
  // The server may have been restarted with another admin token.
  return equalInConstantTime(session.token_sha256, c.env.SLUICE_TOKEN_SHA256)
    ? { ...adminOf(c.env), csrf: session.csrf }
    : undefined;
}

export function hasCookie(c: PageContext): boolean {
  return getCookie(c, COOKIE) !== undefined;
}

/** @param everywhere also ends all other sessions that the same token opened */
export async function signOut(c: PageContext, { author }: SignedIn, everywhere: boolean): Promise<void> {
  const account = accountOf(c.env);
  if (everywhere) await account.closeSessions(author.id);
  else await account.closeSession(await sha256(getCookie(c, COOKIE) ?? ""));
  setCookie(c, COOKIE, "", { ...attributesOf(c), maxAge: 0 });
}

function attributesOf(c: PageContext) {
  const secure = c.req.url.startsWith("https:") || c.req.header("X-Forwarded-Proto") === "https";
  return { path: "/", httpOnly: true, sameSite: "Strict", secure } as const;
}
