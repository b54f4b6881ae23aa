/** `/accounts/{account}/tokens`: API tokens and their roles, for admins only. */

import * as z from "zod";
import { type ApiToken, ROLES } from "../../account/access.ts";
import { accountOf } from "../../account/registry.ts";
import type { TokenView } from "../../account/types.ts";
import { utf8 } from "../../lib/bytes.ts";
import { log } from "../../lib/log.ts";
import { randomText, sha256Hex } from "../../lib/secrets.ts";
import type { ControlContext } from "../context.ts";
import { failure, success } from "../envelope.ts";

export const tokenBody = z.looseObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,49}$/, {
    error: "use 1 to 50 lower-case letters, digits, ., _ and -, beginning with a letter or digit",
  }),
  role: z.enum(ROLES),
});

const showToken = ({ used_on, ...token }: ApiToken): TokenView => ({
  ...token,
  last_used_on: used_on,
  status: "active",
});

/** GET …/tokens: without their values, which are not stored. */
export async function listTokens(c: ControlContext): Promise<Response> {
  return success((await accountOf(c.env).tokens()).map(showToken));
}

/** POST …/tokens: `{"name", "role"}`. This answer alone has the token's `value`. */
export async function createToken(c: ControlContext, body: z.output<typeof tokenBody>): Promise<Response> {
  const { name, role } = body;
  const value = `sluice_${randomText()}`;
  const sha256 = await sha256Hex(utf8(value));
  const token = { name, role, created_by: c.var.author.email };
  const created = await accountOf(c.env).createToken(token, sha256);
  if (created === undefined) return failure({ reason: "token-exists", name });
  log("info", "token-made", { who: c.var.author.email, name, role });
  return success({ ...showToken(created), value });
}

/** DELETE …/tokens/{token}, by id or name. Its sessions end with it. */
export async function revokeToken(c: ControlContext): Promise<Response> {
  const id = c.req.param("token") ?? "";
  const revoked = await accountOf(c.env).revokeToken(id);
  if (revoked === undefined) return failure({ reason: "token-not-found", id });
  log("info", "token-revoked", { who: c.var.author.email, name: revoked.name, role: revoked.role });
  return success({ id: revoked.id });
}
