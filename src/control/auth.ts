/** Who calls, and what they may do. The admin token of the configuration is known by its SHA-256 only, like all others. */
import type { Role } from "../account/access.ts";
import { type Identity, identify } from "../account/identity.ts";
import { utf8 } from "../lib/bytes.ts";
import type { Env } from "../lib/env.ts";
import type { SluiceError } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { sha256Hex } from "../lib/secrets.ts";

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
  const identity = await identify(env, await sha256Hex(utf8(token)));
  return identity === undefined
    ? refuse("the API token is not valid here; `sluice env` prints the one that is.")
    : ok(identity);
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
