/** Who calls. One admin token in this release; the Worker knows its SHA-256 only. */
import type { Env } from "../env.ts";
import type { SluiceError } from "../errors.ts";
import { err, ok, type Result } from "../result.ts";
import type { Author } from "../versions/types.ts";

const encoder = new TextEncoder();

export async function authenticate(request: Request, env: Env): Promise<Result<Author, SluiceError>> {
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

  if (!isSame(await sha256Hex(encoder.encode(token)), env.SLUICE_TOKEN_SHA256)) {
    return refuse("the API token is not valid here; `sluice env` prints the one that is.");
  }
  return ok(adminOf(env));
}

export function adminOf(env: Env): Author {
  return { id: "admin", email: `admin@${env.SLUICE_DOMAIN}` };
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
