/**
 * The operators' API: Cloudflare's v4 API for Workers, in its envelope, and Sluice's additions beside it. A route names
 * its path, its guards and its handler; resources/ has the handlers, one file per noun.
 */
import { type Context, Hono } from "hono";
import { log } from "../lib/log.ts";
import { isSafeMode } from "../lib/safe-mode.ts";
import { fleetOf } from "../runtime/fleet.ts";
import type { ControlEnv } from "./context.ts";
import { failure, internalError } from "./envelope.ts";
import * as guards from "./guards.ts";
import * as account from "./resources/account.ts";
import * as analytics from "./resources/analytics.ts";
import * as assets from "./resources/assets.ts";
import * as d1Import from "./resources/d1-import.ts";
import * as incidents from "./resources/incidents.ts";
import * as metrics from "./resources/metrics.ts";
import * as tails from "./resources/tails.ts";
import * as tokens from "./resources/tokens.ts";
import * as triggers from "./resources/triggers.ts";
import { d1Routes, kvRoutes, queueRoutes, r2Routes } from "./routes/storage.ts";
import { workerRoutes } from "./routes/workers.ts";

/** The API without pages: src/operators.ts puts the dashboard beside it. */
export function createApi(): Hono<ControlEnv> {
  const api = new Hono<ControlEnv>();
  api.get("/healthz", async (c) => {
    const ready = await fleetOf(c.env, c.executionCtx.exports.Follower).ready();
    const more = isSafeMode(c.env) ? { safe_mode: true } : {};
    return ready
      ? c.json({ status: "ok", ...more })
      : c.json({ status: "a traffic process does not answer", ...more }, 503);
  });
  api.get("/metrics", guards.sender, metrics.scrape);
  api.route("/client/v4", withTickets());
  // The ticket in the path is the permission.
  api.get("/tail/:ticket", tails.connectTail);
  api.route("/client/v4", withTokens());
  for (const path of ["/client/*", "/healthz", "/metrics", "/tail/*"]) api.all(path, noRoute);
  api.onError((error, c) => {
    const { method, path } = c.req;
    log("error", "control-fault", { method, path, stack: error.stack ?? String(error) });
    return internalError();
  });
  return api;
}

/** Answers a path that the API does not have. */
export function noRoute(c: Context): Response {
  return failure({ reason: "no-route", method: c.req.method, path: c.req.path });
}

/** Requests that a ticket in their path or header permits: wrangler sends them without an API token. */
function withTickets(): Hono<ControlEnv> {
  const v4 = new Hono<ControlEnv>();
  v4.post("/accounts/:account/workers/assets/upload", assets.uploadFiles);
  v4.post("/accounts/:account/workers/assets/upload/:hash", assets.uploadFile);
  v4.put("/accounts/:account/d1/database/:database/import/:filename", d1Import.uploadFile);
  return v4;
}

/** All other requests: they need an API token whose role allows them. */
function withTokens(): Hono<ControlEnv> {
  const v4 = new Hono<ControlEnv>();
  v4.use("*", guards.sender);
  addUser(v4);
  v4.use("/accounts/:account/*", guards.account);
  v4.route("/accounts/:account/workers", workerRoutes());
  v4.route("/accounts/:account/storage/kv", kvRoutes());
  v4.route("/accounts/:account/d1", d1Routes());
  v4.route("/accounts/:account/r2", r2Routes());
  v4.route("/accounts/:account", queueRoutes());
  addAccount(v4);
  addUnsupported(v4);
  return v4;
}

/** Who calls, and zones: their paths name no account. */
function addUser(v4: Hono<ControlEnv>): void {
  v4.get("/user/tokens/verify", account.verifyToken);
  v4.get("/user", account.getUser);
  v4.get("/accounts", account.listAccounts);
  v4.get("/memberships", account.listMemberships);
  v4.get("/zones", triggers.listZones);
  v4.get("/zones/:zone/workers/routes", triggers.listZoneRoutes);
  v4.post("/zones/:zone/workers/routes", guards.json(triggers.zoneRouteBody), (c) =>
    triggers.createZoneRoute(c, c.req.valid("json")),
  );
  v4.delete("/zones/:zone/workers/routes/:route", triggers.deleteZoneRoute);
}

function addAccount(v4: Hono<ControlEnv>): void {
  v4.post("/accounts/:account/drain", account.drain);
  v4.get("/accounts/:account/incidents", incidents.listIncidents);
  v4.post("/accounts/:account/incidents", guards.json(incidents.incidentBody), (c) =>
    incidents.addIncident(c, c.req.valid("json")),
  );
  v4.get("/accounts/:account/processes", incidents.getProcesses);
  v4.put("/accounts/:account/processes", guards.json(incidents.healthBody), (c) =>
    incidents.putProcesses(c.req.valid("json")),
  );
  v4.get("/accounts/:account/server", account.getServer);
  v4.get("/accounts/:account/tokens", tokens.listTokens);
  v4.post("/accounts/:account/tokens", guards.json(tokens.tokenBody), (c) =>
    tokens.createToken(c, c.req.valid("json")),
  );
  v4.delete("/accounts/:account/tokens/:token", tokens.revokeToken);
  v4.post("/accounts/:account/analytics_engine/sql", analytics.queryDataset);
}

/** Features that Sluice does not have. wrangler asks for them before it uploads, so they are refused by name. */
function addUnsupported(v4: Hono<ControlEnv>): void {
  const features = [
    {
      feature: "exporting D1 databases",
      advice: "read the tables with `wrangler d1 execute --command`",
      paths: ["/d1/database/:database/export"],
    },
    {
      feature: "workflows",
      advice: "remove `workflows` from the configuration",
      paths: ["/workflows", "/workflows/*"],
    },
  ];
  for (const { feature, advice, paths } of features) {
    for (const path of paths) {
      v4.all(`/accounts/:account${path}`, () => failure({ reason: "unsupported", feature, advice }));
    }
  }
}
