/** Signing in and out, and the check that every other page and form passes. */
import type { MiddlewareHandler } from "hono";
import type { Env } from "../../lib/env.ts";
import { log } from "../../lib/log.ts";
import { equalInConstantTime } from "../../lib/secrets.ts";
import type { CallApi, PageContext, PageEnv, Reply } from "../context.ts";
import { signInPage } from "../pages/sign-in.tsx";
import { problem } from "../problem.tsx";
import { isOwnOrigin, safePath } from "../security.ts";
import { hasCookie, readSession, signIn, signOut } from "../session.ts";

/** Answers an API request, in this process. */
export type FetchApi = (
  request: Request,
  env: Env,
  ctx: PageContext["executionCtx"],
) => Response | Promise<Response>;

export async function showSignIn(c: PageContext): Promise<Response> {
  const next = safePath(c.req.query("next"));
  if ((await readSession(c)) !== undefined) return c.redirect(next, 303);
  return c.html(signInPage(c.env, next, undefined));
}

export async function submitSignIn(c: PageContext): Promise<Response> {
  if (!isOwnOrigin(c)) return problem(c, 403, "This form was sent from another site.");
  const { token, next } = await c.req.parseBody();
  const to = safePath(typeof next === "string" ? next : undefined);
  const identity = await signIn(c, String(token ?? "").trim());
  if (identity === undefined) {
    log("warn", "sign-in-refused", {});
    return c.html(signInPage(c.env, to, "This token is not valid on this server."), 401);
  }
  log("info", "signed-in", { who: identity.author.email, role: identity.role });
  return c.redirect(to, 303);
}

export async function submitSignOut(c: PageContext): Promise<Response> {
  const { everywhere } = await c.req.parseBody();
  await signOut(c, c.var.user, everywhere === "true");
  return c.redirect("/sign-in", 303);
}

/** Requires a session, and of a form that a page of this session sent it. Provides the user and the API to the handlers. */
export function signedIn(fetchApi: FetchApi): MiddlewareHandler<PageEnv> {
  return async (c, next) => {
    const user = await readSession(c);
    if (user === undefined) return signedOut(c);
    if (c.req.method !== "GET") {
      const { csrf } = await c.req.parseBody();
      if (!isOwnOrigin(c) || !equalInConstantTime(String(csrf ?? ""), user.csrf)) {
        return problem(
          c,
          403,
          "This form is from another site or an earlier session. Nothing was changed. Reload the page and try again.",
        );
      }
    }
    c.set("user", user);
    c.set("call", caller(fetchApi, c));
    return next();
  };
}

/** Answers a request without a session: a page asks to sign in and then comes back, a form changes nothing. */
function signedOut(c: PageContext): Response | Promise<Response> {
  // A link on another site comes without the SameSite=Strict cookie. Reloading from a page of this site sends it.
  if (c.req.method === "GET" && !hasCookie(c) && c.req.header("Sec-Fetch-Site") === "cross-site") {
    return c.html('<!doctype html><meta http-equiv="refresh" content="0"><title>Sluice</title>');
  }
  const { pathname, search } = new URL(c.req.url);
  if (c.req.method !== "GET") {
    return c.html(
      signInPage(c.env, "/", "Your session has ended. Nothing was changed. Sign in to continue."),
      401,
    );
  }
  return c.redirect(`/sign-in?next=${encodeURIComponent(pathname + search)}`, 303);
}

/** Calls the API as the signed-in user. */
function caller(fetchApi: FetchApi, c: PageContext): CallApi {
  return async <T,>(method: string, path: string, body?: object | FormData): Promise<Reply<T>> => {
    const { author, role } = c.var.user;
    const isForm = body instanceof FormData;
    const request = new Request(new URL(`/client/v4/accounts/${c.env.SLUICE_ACCOUNT_ID}${path}`, c.req.url), {
      method,
      ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
    });
    const env = { ...c.env, SLUICE_IDENTITY: { author, role } };
    const response = await fetchApi(request, env, c.executionCtx);
    return { status: response.status, ...((await response.json()) as Omit<Reply<T>, "status">) };
  };
}
