/** Forms of the page for API tokens. */
import { messageOf, type PageContext, param, statusOf } from "../context.ts";
import { tokensPage } from "../pages/tokens.tsx";

export async function createToken(c: PageContext): Promise<Response> {
  const { name, role } = await c.req.parseBody();
  const made = await c.var.call<{ value: string }>("POST", "/tokens", { name, role });
  return made.success
    ? c.html(await tokensPage(c, { made: made.result.value }))
    : c.html(await tokensPage(c, { problem: messageOf(made) }), statusOf(made));
}

export async function revokeToken(c: PageContext): Promise<Response> {
  const revoked = await c.var.call("DELETE", `/tokens/${encodeURIComponent(param(c, "token"))}`);
  return revoked.success
    ? c.redirect("/access", 303)
    : c.html(await tokensPage(c, { problem: messageOf(revoked) }), statusOf(revoked));
}
