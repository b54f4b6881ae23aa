/**
 * The operators' pages. They are made of what the API says, and every form is a call of the API as whoever is signed in: what
 * may be done is decided there. Without script everything works but what changes by itself.
 */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { NONCE, secureHeaders } from "hono/secure-headers";
import type { Env } from "../lib/env.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { equalInConstantTime } from "../lib/secrets.ts";
import { parseStages } from "../rollout/plan.ts";
import { WORKER_NAME } from "../router/hosts.ts";
import { parseSource } from "../versions/affinity.ts";
import {
  type CallApi,
  messageOf,
  type PageContext,
  type PageEnv,
  PageError,
  type Reply,
  read,
  scriptPath,
} from "./context.ts";
import { workerPath } from "./layout.tsx";
import { follow } from "./live.ts";
import { auditPage } from "./pages/audit.tsx";
import {
  chartsOf,
  deploymentsPage,
  parts,
  partsOf,
  readLive,
  type SplitInput,
} from "./pages/deployments.tsx";
import { editPage, saveEdit } from "./pages/edit.tsx";
import { rollbackPage } from "./pages/rollback.tsx";
import { readRollout, rolloutCharts, rolloutPage, rolloutParts, rolloutsPage } from "./pages/rollouts.tsx";
import { settingsPage } from "./pages/settings.tsx";
import { errorPage, signInPage } from "./pages/sign-in.tsx";
import { tokensPage } from "./pages/tokens.tsx";
import { diffPage, versionPage } from "./pages/version.tsx";
import { versionsPage } from "./pages/versions.tsx";
import { workersPage } from "./pages/workers.tsx";
import { hasCookie, readSession, signIn, signOut } from "./session.ts";
import { staticFile } from "./static.ts";
import { readActive } from "./worker.ts";

/** Answers a request of the API, in this process. */
type FetchApi = (
  request: Request,
  env: Env,
  ctx: PageContext["executionCtx"],
) => Response | Promise<Response>;

export function createDashboard(fetchApi: FetchApi): Hono<PageEnv> {
  const app = new Hono<PageEnv>();

  app.get("/static/:build/:file", staticFile);

  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        // The editor makes a style sheet of its own.
        styleSrc: ["'self'", NONCE],
        // Its one style attribute: `tab-size: 2;`.
        styleSrcAttr: ["'unsafe-hashes'", "'sha256-nXCYc9XlLhJpsbN6/W64jz++4JoojLTMulME0ZXdRug='"],
        imgSrc: ["'self'", "data:"],
        connectSrc: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
      xFrameOptions: "DENY",
      referrerPolicy: "same-origin",
      // Locally it is plain HTTP; whoever adds TLS in front says how long.
      strictTransportSecurity: false,
    }),
  );
  app.use(
    bodyLimit({
      maxSize: LIMITS.dashboard.maxFormBytes,
      onError: (c) => problem(c, 413, "That is too long."),
    }),
  );
  app.use(async (c, next) => {
    await next();
    c.header("Cache-Control", "no-store");
    compress(c);
  });

  app.get("/sign-in", async (c) => {
    const next = safePath(c.req.query("next"));
    if ((await readSession(c)) !== undefined) return c.redirect(next, 303);
    return c.html(signInPage(c.env, next, undefined));
  });
  app.post("/sign-in", async (c) => {
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
  });

  app.use(async (c, next) => {
    const user = await readSession(c);
    if (user === undefined) return signedOut(c);
    if (c.req.method !== "GET") {
      const { csrf } = await c.req.parseBody();
      if (!isOwnOrigin(c) || !equalInConstantTime(String(csrf ?? ""), user.csrf)) {
        return problem(
          c,
          403,
          "This form is not from a page of yours, or older than your session. Nothing was changed.",
        );
      }
    }
    c.set("user", user);
    c.set("call", caller(fetchApi, c));
    return next();
  });

  app.post("/sign-out", async (c) => {
    const { everywhere } = await c.req.parseBody();
    await signOut(c, c.var.user, everywhere === "true");
    return c.redirect("/sign-in", 303);
  });

  app.get("/", async (c) => c.html(await workersPage(c)));

  app.get("/access", async (c) => c.html(await tokensPage(c)));
  app.post("/access/tokens", async (c) => {
    const { name, role } = await c.req.parseBody();
    const made = await c.var.call<{ value: string }>("POST", "/tokens", { name, role });
    return made.success
      ? c.html(await tokensPage(c, { made: made.result.value }))
      : c.html(await tokensPage(c, { problem: messageOf(made) }), statusOf(made));
  });
  app.post("/access/tokens/:token/revoke", async (c) => {
    const revoked = await c.var.call("DELETE", `/tokens/${encodeURIComponent(c.req.param("token"))}`);
    return revoked.success
      ? c.redirect("/access", 303)
      : c.html(await tokensPage(c, { problem: messageOf(revoked) }), statusOf(revoked));
  });

  app.use("/workers/:worker/*", async (c, next) => {
    if (!WORKER_NAME.test(c.req.param("worker"))) throw new PageError(404, "No Worker can have this name.");
    return next();
  });
  const page =
    (show: (c: PageContext, worker: string) => unknown) =>
    async (c: PageContext): Promise<Response> =>
      c.html((await show(c, workerOf(c))) as string);

  app.get("/workers/:worker", page(deploymentsPage));
  app.get("/workers/:worker/live", (c) =>
    follow(c, async () => {
      const live = await readLive(c, workerOf(c));
      return { parts: parts(live), charts: chartsOf(live) };
    }),
  );
  app.post("/workers/:worker/split", changeSplit);
  app.post("/workers/:worker/promote", async (c) => {
    const { version } = await c.req.parseBody();
    return deploy(c, [[String(version), 100]], "promoted");
  });
  app.get("/workers/:worker/rollback", page(rollbackPage));
  app.post("/workers/:worker/rollback", async (c) => {
    const { share } = await c.req.parseBody({ all: true });
    const shares = [share ?? []].flat().map((text): [string, number] => {
      const [id = "", percentage = ""] = String(text).split(" ");
      return [id, Number(percentage)];
    });
    return deploy(c, shares, "rollback");
  });

  app.get("/workers/:worker/versions", page(versionsPage));
  app.get("/workers/:worker/diff", page(diffPage));
  app.get(
    "/workers/:worker/versions/:version",
    page((c, worker) => versionPage(c, worker, param(c, "version"))),
  );
  app.get(
    "/workers/:worker/versions/:version/edit",
    page((c, worker) => editPage(c, worker, param(c, "version"))),
  );
  app.post("/workers/:worker/versions/:version/edit", saveVersion);

  app.get(
    "/workers/:worker/rollouts",
    page((c, worker) => rolloutsPage(c, worker)),
  );
  app.post("/workers/:worker/rollouts", startRollout);
  app.get(
    "/workers/:worker/rollouts/:rollout",
    page((c, worker) => rolloutPage(c, worker, param(c, "rollout"))),
  );
  app.get("/workers/:worker/rollouts/:rollout/live", (c) =>
    follow(c, async () => {
      const rollout = await readRollout(c, workerOf(c), param(c, "rollout"));
      return { parts: rolloutParts(c, workerOf(c), rollout), charts: rolloutCharts(rollout) };
    }),
  );
  app.post("/workers/:worker/rollouts/:rollout/:command", async (c) => {
    const { worker, rollout, command } = c.req.param();
    const path = scriptPath(
      worker,
      `/rollouts/${encodeURIComponent(rollout)}/${encodeURIComponent(command)}`,
    );
    const done = await c.var.call("POST", path);
    return done.success
      ? c.redirect(workerPath(worker, `/rollouts/${rollout}`), 303)
      : c.html(await rolloutPage(c, worker, rollout, messageOf(done)), statusOf(done));
  });

  app.get("/workers/:worker/audit", page(auditPage));
  app.get(
    "/workers/:worker/settings",
    page((c, worker) => settingsPage(c, worker)),
  );
  app.post("/workers/:worker/settings/:part", changeSettings);

  app.notFound((c) => problem(c, 404, "There is no such page."));
  app.onError((error, c) => {
    if (error instanceof PageError) return problem(c, error.status, error.message);
    log("error", "dashboard-fault", { path: c.req.path, stack: error.stack ?? String(error) });
    return problem(c, 500, "Sluice failed to make this page. Its log says why.");
  });
  return app;
}

const workerOf = (c: PageContext): string => param(c, "worker");
const param = (c: PageContext, name: string): string => c.req.param(name as never) ?? "";

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

async function changeSplit(c: PageContext): Promise<Response> {
  const body = await c.req.parseBody();
  const text = (name: string) => String(body[name] ?? "");
  const input = {
    stable: text("stable"),
    candidate: text("candidate"),
    percentage: text("percentage").trim() === "" ? Number.NaN : Number(text("percentage")),
    message: text("message"),
  };
  const shares = partsOf(input, new Map()).map(({ version_id, percentage }): [string, number] => [
    version_id,
    Number(percentage.toFixed(6)),
  ]);
  return deploy(c, shares, "split", input);
}

/** Deploys, unless somebody else did since the page was made. @param done what to say afterwards */
async function deploy(
  c: PageContext,
  shares: readonly (readonly [version: string, percentage: number])[],
  done: string,
  input?: SplitInput,
): Promise<Response> {
  const worker = workerOf(c);
  const { base, message, force } = await c.req.parseBody();
  const shown = input === undefined ? {} : { input };
  const query = new URLSearchParams({ replaces: String(base ?? ""), ...(force === "true" ? { force } : {}) });
  const deployed = await c.var.call("POST", scriptPath(worker, `/deployments?${query}`), {
    strategy: "percentage",
    versions: shares.map(([version_id, percentage]) => ({ version_id, percentage })),
    annotations: { "workers/message": String(message ?? "") || undefined },
  });
  if (deployed.status === 409) {
    const active = await readActive(c, worker);
    const problem = `Nothing was changed: ${active?.author_email} deployed something else meanwhile. This is what serves now.`;
    return c.html(await deploymentsPage(c, worker, { problem, ...shown }), 409);
  }
  return deployed.success
    ? c.redirect(workerPath(worker, `?done=${done}`), 303)
    : c.html(
        await deploymentsPage(c, worker, { problem: messageOf(deployed), ...shown }),
        statusOf(deployed),
      );
}

async function saveVersion(c: PageContext): Promise<Response> {
  const [worker, id] = [workerOf(c), param(c, "version")];
  const { code, message, then } = await c.req.parseBody();
  const input = { code: String(code ?? "").replaceAll("\r\n", "\n"), message: String(message ?? "") };
  const saved = await saveEdit(c, worker, id, input);
  if ("problem" in saved)
    return c.html(await editPage(c, worker, id, { problem: saved.problem, input }), 400);
  if (then !== "deploy") return c.redirect(workerPath(worker, `/versions/${saved.id}?done=saved`), 303);
  const deployed = await c.var.call("POST", scriptPath(worker, "/deployments"), {
    strategy: "percentage",
    versions: [{ version_id: saved.id, percentage: 100 }],
    annotations: { "workers/message": input.message || "Edited on the dashboard" },
  });
  if (deployed.success) return c.redirect(workerPath(worker, "?done=deployed"), 303);
  const problem = `The version was made, but not deployed. ${messageOf(deployed)}`;
  return c.html(await deploymentsPage(c, worker, { problem }), statusOf(deployed));
}

async function startRollout(c: PageContext): Promise<Response> {
  const worker = workerOf(c);
  const { version, template, stages, on_fail } = await c.req.parseBody();
  const own = String(stages ?? "").trim();
  const parsed = own === "" ? undefined : parseStages(own);
  if (parsed !== undefined && !parsed.ok) return c.html(await rolloutsPage(c, worker, parsed.error), 400);
  const started = await c.var.call<{ id: string }>("POST", scriptPath(worker, "/rollouts"), {
    version_id: version,
    on_fail,
    ...(parsed === undefined ? { template } : { stages: parsed.value }),
  });
  return started.success
    ? c.redirect(workerPath(worker, `/rollouts/${started.result.id}`), 303)
    : c.html(await rolloutsPage(c, worker, messageOf(started)), statusOf(started));
}

async function changeSettings(c: PageContext): Promise<Response> {
  const worker = workerOf(c);
  const changed = await sendSettings(c, worker, await c.req.parseBody());
  return typeof changed !== "string" && changed.success
    ? c.redirect(workerPath(worker, "/settings?done=settings"), 303)
    : c.html(
        await settingsPage(c, worker, typeof changed === "string" ? changed : messageOf(changed)),
        typeof changed === "string" ? 400 : statusOf(changed),
      );
}

/** @returns what the API said, or what is wrong with what was filled in */
async function sendSettings(
  c: PageContext,
  worker: string,
  body: Record<string, unknown>,
): Promise<Reply<unknown> | string> {
  switch (param(c, "part")) {
    case "affinity": {
      const lines = String(body.sources ?? "")
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "");
      if (lines.length === 1 && lines[0] === "default") {
        return c.var.call("PUT", scriptPath(worker, "/affinity"), { sources: null });
      }
      const before = await read<{ sources: { type: string; max_age?: number }[] }>(
        c,
        scriptPath(worker, "/affinity"),
      );
      const max_age = before.sources.find(({ type }) => type === "issued_cookie")?.max_age;
      const sources = [];
      for (const line of lines) {
        const source = parseSource(line);
        if (!source.ok) return source.error;
        // The page does not ask for the age, so it must not change it.
        const keepsAge = source.value.type === "issued_cookie" && max_age !== undefined;
        sources.push(keepsAge ? { ...source.value, max_age } : source.value);
      }
      return c.var.call("PUT", scriptPath(worker, "/affinity"), { sources });
    }
    case "hosts":
      return c.var.call("POST", scriptPath(worker, "/subdomain"), {
        enabled: body.enabled !== undefined,
        previews_enabled: body.previews !== undefined,
      });
    case "options":
      return c.var.call("PATCH", scriptPath(worker, "/options"), {
        protect: body.protect !== undefined,
        expose_version: body.expose_version !== undefined,
        retention: { versions: Number(body.versions), hours: Number(body.hours) },
      });
    default:
      throw new PageError(404, "There are no such settings.");
  }
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

/** A path of this site, and of no other. */
function safePath(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])/.test(next) ? next : "/";
}

/** Whether a form was sent by a page of this origin: browsers say so themselves. */
function isOwnOrigin(c: PageContext): boolean {
  const site = c.req.header("Sec-Fetch-Site");
  if (site !== undefined) return site === "same-origin" || site === "none";
  const origin = c.req.header("Origin");
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === c.req.header("Host");
}

function problem(c: PageContext, status: number, message: string): Response | Promise<Response> {
  return c.html(errorPage(c.env, TITLES[status] ?? "That did not work", message), status as 400);
}

const TITLES: Readonly<Record<number, string>> = {
  404: "Not found",
  403: "Not allowed",
  500: "A fault of ours",
};

const statusOf = ({ status }: Reply<unknown>) => status as 400;

/** The runtime compresses what has the header. Streams go as they are. */
function compress(c: PageContext): void {
  const isText = c.res.headers.get("Content-Type")?.startsWith("text/html") === true;
  if (isText && c.req.header("Accept-Encoding")?.includes("gzip"))
    c.res.headers.set("Content-Encoding", "gzip");
}
