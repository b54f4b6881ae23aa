/** Who calls: the holder of the configuration's admin token, or of a token that was created. */

import type { Env } from "../lib/env.ts";
import { equalInConstantTime } from "../lib/secrets.ts";
import type { Author } from "../versions/types.ts";
import { ADMIN_ID, type ApiToken, type Role } from "./access.ts";
import { accountOf } from "./registry.ts";

/** Who calls, and the role of their token. */
export interface Identity {
  readonly author: Author;
  readonly role: Role;
}

/** The holder of the token with this SHA-256; undefined where there is no such token. */
export async function identify(env: Env, sha256: string): Promise<Identity | undefined> {
  if (equalInConstantTime(sha256, env.SLUICE_TOKEN_SHA256)) return adminOf(env);
  const token = await accountOf(env).useToken(sha256);
  return token && identityOf(env, token);
}

export function adminOf(env: Env): Identity {
  return { author: { id: ADMIN_ID, email: `${ADMIN_ID}@${env.SLUICE_DOMAIN}` }, role: "admin" };
}

export function identityOf(env: Env, { id, name, role }: ApiToken): Identity {
  return { author: { id, email: `${name}@${env.SLUICE_DOMAIN}` }, role };
}
