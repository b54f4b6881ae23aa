/** Who calls, and what they may do. The admin token of the configuration is known by its SHA-256 only, like all others. */
import { ADMIN_ID, type ApiToken, type Role } from "../account/access.ts";
import { accountOf } from "../account/registry.ts";
import type { Env } from "../lib/env.ts";
import type { SluiceError } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Author } from "../versions/types.ts";

/** Who calls, and the role of the token that they have. */
export interface Identity {
  readonly author: Author;
  readonly role: Role;
}

const encoder = new TextEncoder();

export async function authenticate(request: Request, env: Env): Promise<Result<Identity, SluiceError>> {
  const refuse = (detail: string) => err({ reason: "unauthorized", detail } as const);
  const header = request.headers.get("Authorization");
  if (header === null) {
    return request.headers.has("X-Auth-Key")
      ? refuse(
          "API keys are not accepted; unset CLOUDFLARE_API_KEY and use the token that `sluice env` prints.",
        )
      : refuse("send the API token as `Authorization: Bearer …`; `sluice env` prints it.");
  }
  const token = /^Bearer (.+)$/i.exec(header)?.[1];
  if (token === undefined) return refuse("the Authorization header must be `Bearer <token>`.");
  const identity = await identify(env, await sha256Hex(encoder.encode(token)));
  return identity === undefined
    ? refuse("the API token is not valid here; `sluice env` prints the one that is.")
    : ok(identity);
}

/** Whose token has this SHA-256; undefined for nobody's. */
export async function identify(env: Env, sha256: string): Promise<Identity | undefined> {
  if (isSame(sha256, env.SLUICE_TOKEN_SHA256)) return adminOf(env);
  const token = (await accountOf(env).useToken(sha256)) as ApiToken | undefined;
  return token && identityOf(env, token);
}

export function adminOf(env: Env): Identity {
  return { author: { id: ADMIN_ID, email: `${ADMIN_ID}@${env.SLUICE_DOMAIN}` }, role: "admin" };
}

export function identityOf(env: Env, { id, name, role }: ApiToken): Identity {
  return { author: { id, email: `${name}@${env.SLUICE_DOMAIN}` }, role };
}

/** What Workers keep in their KV namespaces, buckets, databases and datasets. */
const STORED =
  /\/(?:storage\/kv\/namespaces\/[^/]+\/.|r2\/buckets\/[^/]+\/objects|d1\/database\/[^/]+\/.|analytics_engine\/)/;
/** Watching is reading, though a tail is opened with POST. */
const TAILS = /\/workers\/scripts\/[^/]+\/tails(?:\/[^/]+)?$/;
const TOKENS = /\/accounts\/[^/]+\/tokens(?:\/|$)/;

/** Whether a role may send a request. @param path of its URL */
export function mayCall(role: Role, method: string, path: string): boolean {
  if (role === "admin") return true;
  if (TOKENS.test(path)) return false;
  if (role === "deploy") return true;
  return ((method === "GET" || method === "HEAD") && !STORED.test(path)) || TAILS.test(path);
}

/** Takes the same time wherever the two differ. */
export function isSame(given: string, expected: string): boolean {
  const [a, b] = [encoder.encode(given), encoder.encode(expected)];
  return a.length === b.length && crypto.subtle.timingSafeEqual(a, b);
}

export async function sha256Hex(bytes: ArrayBuffer | Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Something that nobody can guess, for a token, a session or a form. */
export function randomText(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}
