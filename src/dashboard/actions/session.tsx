/** Signing in and out, and what every page requires. */
import type { MiddlewareHandler } from "hono";
import type { Env } from "../../lib/env.ts";
import { log } from "../../lib/log.ts";
import { equalInConstantTime } from "../../lib/secrets.ts";
import type { CallApi, PageContext, PageEnv, Reply } from "../context.ts";
import { signInPage } from "../pages/sign-in.tsx";
import { problem } from "../problem.tsx";
import { isOwnOrigin, safePath } from "../security.ts";
import { hasCookie, readSession, signIn, signOut } from "../session.ts";

/** Answers a request of the API, in this process. */
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
    return c.html(signInPage(c.env, to, "This token is not valid here."), 401);
  }
  log("info", "signed-in", { who: identity.author.email, role: identity.role });
  return c.redirect(to, 303);
}

export async function submitSignOut(c: PageContext): Promise<Response> {
  const { everywhere } = await c.req.parseBody();
  await signOut(c, c.var.user, everywhere === "true");
  return c.redirect("/sign-in", 303);
}

/** Somebody is signed in, and a form comes from a page of theirs. Hands on the user, and the API as they may use it. */
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
          "This form is not from your session. Nothing was changed. Reload the page and try again.",
        );
      }
    }
    c.set("user", user);
    c.set("call", caller(fetchApi, c));
    return next();
  };
}

/** Somebody without a session: back here after signing in. What was to be changed was not. */
function signedOut(c: PageContext): Response | Promise<Response> {
  // A link from elsewhere comes without the cookie; the same address asked for by a page of ours has it.
  if (c.req.method === "GET" && !hasCookie(c) && c.req.header("Sec-Fetch-Site") === "cross-site") {
    return c.html('<!doctype html><meta http-equiv="refresh" content="0"><title>Sluice</title>');
  }
  const { pathname, search } = new URL(c.req.url);
  if (c.req.method !== "GET") {
    return c.html(signInPage(c.env, "/", "Your session has ended. Nothing was changed."), 401);
  }
  return c.redirect(`/sign-in?next=${encodeURIComponent(pathname + search)}`, 303);
}

/** The API as the signed-in user may use it. */
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
