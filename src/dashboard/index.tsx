/**
 * The routes of the operators' pages and forms. Every page reads the API and every form calls it, both as the signed-in
 * user: the API decides what the user may do. Without script everything works, except that pages do not update themselves.
 */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { MIB } from "../lib/bytes.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { WORKER_NAME } from "../router/hosts.ts";
import { changeSplit, promote, rollBack } from "./actions/deploy.tsx";
import { commandRollout, downloadCertificate, startRollout } from "./actions/rollouts.tsx";
import { type FetchApi, showSignIn, signedIn, submitSignIn, submitSignOut } from "./actions/session.tsx";
import { changeSettings } from "./actions/settings.tsx";
import { createToken, revokeToken } from "./actions/tokens.tsx";
import { saveVersion } from "./actions/versions.tsx";
import { type PageContext, type PageEnv, PageError, param, workerOf } from "./context.ts";
import { follow } from "./live.ts";
import { auditPage } from "./pages/audit.tsx";
import { chartsOf, deploymentsPage, parts, readLive } from "./pages/deployments.tsx";
import { editPage } from "./pages/edit.tsx";
import { processesPage } from "./pages/processes.tsx";
import { rollbackPage } from "./pages/rollback.tsx";
import { readRollout, rolloutCharts, rolloutPage, rolloutParts } from "./pages/rollout.tsx";
import { rolloutsPage } from "./pages/rollouts.tsx";
import { settingsPage } from "./pages/settings.tsx";
import { tokensPage } from "./pages/tokens.tsx";
import { diffPage, versionPage } from "./pages/version.tsx";
import { versionsPage } from "./pages/versions.tsx";
import { workersPage } from "./pages/workers.tsx";
import { problem } from "./problem.tsx";
import { securityHeaders } from "./security.ts";
import { staticFile } from "./static.ts";

/** @param fetchApi answers a request of the API, in this process */
export function createDashboard(fetchApi: FetchApi): Hono<PageEnv> {
  const app = new Hono<PageEnv>();
  app.get("/static/:build/:file", staticFile);
  addProtection(app);
  app.get("/sign-in", showSignIn);
  app.post("/sign-in", submitSignIn);
  app.use(signedIn(fetchApi));
  app.post("/sign-out", submitSignOut);
  app.get("/", async (c) => c.html(await workersPage(c)));
  app.get("/processes", async (c) => c.html(await processesPage(c)));
  app.get("/access", async (c) => c.html(await tokensPage(c)));
  app.post("/access/tokens", createToken);
  app.post("/access/tokens/:token/revoke", revokeToken);
  addWorker(app);
  addRollouts(app);
  app.notFound((c) => problem(c, 404, "This page does not exist."));
  app.onError((error, c) => {
    if (error instanceof PageError) return problem(c, error.status, error.message);
    log("error", "dashboard-fault", { path: c.req.path, stack: error.stack ?? String(error) });
    return problem(c, 500, "Sluice could not render this page. The server's log says why.");
  });
  return app;
}

function addProtection(app: Hono<PageEnv>): void {
  app.use(securityHeaders);
  app.use(
    bodyLimit({
      maxSize: LIMITS.dashboard.maxFormBytes,
      onError: (c) =>
        problem(
          c,
          413,
          `A form may have at most ${LIMITS.dashboard.maxFormBytes / MIB} MiB. Nothing was changed.`,
        ),
    }),
  );
  app.use(async (c, next) => {
    await next();
    c.header("Cache-Control", "no-store");
    compress(c);
  });
}

/** A page of the Worker in the path. */
function page(show: (c: PageContext, worker: string) => unknown) {
  return async (c: PageContext): Promise<Response> => c.html((await show(c, workerOf(c))) as string);
}

function addWorker(app: Hono<PageEnv>): void {
  app.use("/workers/:worker/*", async (c, next) => {
    if (!WORKER_NAME.test(c.req.param("worker")))
      throw new PageError(404, "This is not a valid Worker name.");
    return next();
  });
  app.get("/workers/:worker", page(deploymentsPage));
  app.get("/workers/:worker/live", (c) =>
    follow(c, async () => {
      const live = await readLive(c, workerOf(c));
      return { parts: parts(live), charts: chartsOf(live) };
    }),
  );
  app.post("/workers/:worker/split", changeSplit);
  app.post("/workers/:worker/promote", promote);
  app.get("/workers/:worker/rollback", page(rollbackPage));
  app.post("/workers/:worker/rollback", rollBack);
  app.get("/workers/:worker/versions", page(versionsPage));
  app.get("/workers/:worker/diff", page(diffPage));
  const version = (c: PageContext, worker: string) => versionPage(c, worker, param(c, "version"));
  const edit = (c: PageContext, worker: string) => editPage(c, worker, param(c, "version"));
  app.get("/workers/:worker/versions/:version", page(version));
  app.get("/workers/:worker/versions/:version/edit", page(edit));
  app.post("/workers/:worker/versions/:version/edit", saveVersion);
  app.get("/workers/:worker/audit", page(auditPage));
  const settings = (c: PageContext, worker: string) => settingsPage(c, worker);
  app.get("/workers/:worker/settings", page(settings));
  app.post("/workers/:worker/settings/:part", changeSettings);
}

function addRollouts(app: Hono<PageEnv>): void {
  const all = (c: PageContext, worker: string) => rolloutsPage(c, worker);
  const one = (c: PageContext, worker: string) => rolloutPage(c, worker, param(c, "rollout"));
  app.get("/workers/:worker/rollouts", page(all));
  app.post("/workers/:worker/rollouts", startRollout);
  app.get("/workers/:worker/rollouts/:rollout", page(one));
  app.get("/workers/:worker/rollouts/:rollout/live", (c) =>
    follow(c, async () => {
      const rollout = await readRollout(c, workerOf(c), param(c, "rollout"));
      return { parts: rolloutParts(c, workerOf(c), rollout), charts: rolloutCharts(rollout) };
    }),
  );
  app.get("/workers/:worker/rollouts/:rollout/certificate", downloadCertificate);
  app.post("/workers/:worker/rollouts/:rollout/:command", commandRollout);
}

/** Asks the runtime to compress a page. Streams are not compressed. */
function compress(c: PageContext): void {
  const isText = c.res.headers.get("Content-Type")?.startsWith("text/html") === true;
  if (isText && c.req.header("Accept-Encoding")?.includes("gzip"))
    c.res.headers.set("Content-Encoding", "gzip");
}
