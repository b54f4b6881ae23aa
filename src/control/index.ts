import { type Context, Hono } from "hono";
import { log } from "../lib/log.ts";
import { ok } from "../lib/result.ts";
import { WORKER_NAME } from "../router/hosts.ts";
import { fleetOf } from "../runtime/fleet.ts";
import { authenticate, mayCall } from "./auth.ts";
import { type ControlContext, type ControlEnv, requireResource } from "./context.ts";
import { failure, internalError } from "./envelope.ts";
import * as account from "./resources/account.ts";
import * as analytics from "./resources/analytics.ts";
import * as assets from "./resources/assets.ts";
import * as d1 from "./resources/d1.ts";
import * as d1Import from "./resources/d1-import.ts";
import * as deployments from "./resources/deployments.ts";
import * as kv from "./resources/kv.ts";
import * as metrics from "./resources/metrics.ts";
import * as options from "./resources/options.ts";
import * as queues from "./resources/queues.ts";
import * as r2 from "./resources/r2.ts";
import * as rollouts from "./resources/rollouts.ts";
import * as scripts from "./resources/scripts.ts";
import * as secrets from "./resources/secrets.ts";
import * as tails from "./resources/tails.ts";
import * as tokens from "./resources/tokens.ts";
import * as triggers from "./resources/triggers.ts";
import * as versions from "./resources/versions.ts";

export const api = new Hono<ControlEnv>();

async function requireToken(c: ControlContext, next: () => Promise<void>): Promise<Response | undefined> {
  const known = c.env.SLUICE_IDENTITY;
  const identity = known === undefined ? await authenticate(c.req.raw, c.env) : ok(known);
  if (!identity.ok) return failure(identity.error);
  const { author, role } = identity.value;
  if (!mayCall(role, c.req.method, c.req.path)) return failure({ reason: "forbidden", role });
  c.set("author", author);
  c.set("role", role);
  await next();
  return undefined;
}

api.get("/healthz", async (c) => {
  const ready = await fleetOf(c.env, c.executionCtx.exports.Follower).ready();
  return ready ? c.json({ status: "ok" }) : c.json({ status: "a traffic process does not answer" }, 503);
});

api.use("/metrics", requireToken);
api.get("/metrics", metrics.scrape);

const v4 = api.basePath("/client/v4");

// Its address is the permission.
api.get("/tail/:token", tails.connectTail);

// Here it is the token of the upload.
v4.post("/accounts/:account/workers/assets/upload", assets.uploadFiles);
v4.post("/accounts/:account/workers/assets/upload/:hash", assets.uploadFile);

// Its address is the permission.
v4.put("/accounts/:account/d1/database/:database/import/:filename", d1Import.uploadFile);

v4.use("*", requireToken);

v4.get("/user/tokens/verify", account.verifyToken);
v4.get("/user", account.getUser);
v4.get("/accounts", account.listAccounts);
v4.get("/memberships", account.listMemberships);
v4.get("/zones", triggers.listZones);
v4.get("/zones/:zone/workers/routes", triggers.listZoneRoutes);
v4.post("/zones/:zone/workers/routes", triggers.createZoneRoute);
v4.delete("/zones/:zone/workers/routes/:route", triggers.deleteZoneRoute);

v4.use("/accounts/:account/*", async (c, next) => {
  if (c.req.param("account") === c.env.SLUICE_ACCOUNT_ID) return next();
  return failure({ reason: "no-route", method: c.req.method, path: `${c.req.path} (unknown account)` });
});

const workers = v4.basePath("/accounts/:account/workers");

for (const path of ["/scripts/:worker", "/scripts/:worker/*", "/services/:worker", "/workers/:worker/*"]) {
  workers.use(path, async (c, next) => {
    const worker = c.req.param("worker") ?? "";
    return WORKER_NAME.test(worker) ? next() : failure({ reason: "worker-name-invalid", worker });
  });
}

workers.get("/scripts", scripts.listScripts);
workers.get("/services/:worker", scripts.getService);
workers.delete("/services/:worker", scripts.deleteService);
workers.get("/workers/:worker", scripts.getWorker);
workers.patch("/workers/:worker/versions/latest", versions.patchLatestVersion);

workers.put("/scripts/:worker", versions.putScript);
workers.get("/scripts/:worker/versions", versions.listVersions);
workers.post("/scripts/:worker/versions", versions.uploadVersion);
workers.get("/scripts/:worker/versions/:version", versions.getVersion);
workers.get("/scripts/:worker/deployments", deployments.listDeployments);
workers.post("/scripts/:worker/deployments", deployments.createDeployment);
workers.get("/scripts/:worker/deployments/:deployment", deployments.getDeployment);
workers.get("/scripts/:worker/explain", deployments.explain);

workers.get("/scripts/:worker/secrets", secrets.listSecrets);
workers.put("/scripts/:worker/secrets", secrets.putSecret);
workers.delete("/scripts/:worker/secrets/:secret", secrets.deleteSecret);
workers.patch("/scripts/:worker/secrets-bulk", secrets.bulkSecrets);

workers.get("/scripts/:worker/settings", scripts.getSettings);
workers.get("/scripts/:worker/script-settings", scripts.getScriptSettings);
workers.patch("/scripts/:worker/script-settings", scripts.patchScriptSettings);
workers.get("/scripts/:worker/subdomain", scripts.getSubdomain);
workers.post("/scripts/:worker/subdomain", scripts.setSubdomain);
workers.get("/scripts/:worker/schedules", triggers.listSchedules);
workers.put("/scripts/:worker/schedules", triggers.putSchedules);
workers.get("/scripts/:worker/schedules/runs", triggers.listCronRuns);
workers.get("/scripts/:worker/routes", triggers.listRoutes);
workers.put("/scripts/:worker/routes", triggers.putRoutes);
workers.post("/scripts/:worker/domains/changeset", triggers.domainChangeset);
workers.put("/scripts/:worker/domains/records", triggers.putDomains);
workers.get("/domains", triggers.listDomains);
workers.get("/domains/records", triggers.listDomains);
workers.get("/domains/records/:domain", triggers.getDomain);
workers.post("/scripts/:worker/tails", tails.createTail);
workers.delete("/scripts/:worker/tails/:tail", tails.deleteTail);
workers.post("/scripts/:worker/assets-upload-session", assets.openSession);
workers.get("/scripts/:worker/affinity", options.getAffinity);
workers.put("/scripts/:worker/affinity", options.putAffinity);
workers.post("/scripts/:worker/rollouts", rollouts.startRollout);
workers.get("/scripts/:worker/rollouts", rollouts.listRollouts);
workers.get("/scripts/:worker/rollouts/:rollout", rollouts.getRollout);
for (const command of ["pause", "resume", "approve", "promote", "abort"] as const) {
  workers.post(`/scripts/:worker/rollouts/:rollout/${command}`, rollouts.commandRollout(command));
}
workers.get("/scripts/:worker/metrics", metrics.getMetrics);
workers.get("/scripts/:worker/audit", scripts.listAudit);
workers.get("/scripts/:worker/options", options.getOptions);
workers.patch("/scripts/:worker/options", options.patchOptions);
workers.get("/scripts/:worker/references", scripts.getReferences);
workers.get("/tails/by-consumer/:worker", scripts.getTailProducers);

workers.get("/subdomain", account.getSubdomain);
workers.get("/durable_objects/namespaces", account.listNothing);

const storage = v4.basePath("/accounts/:account/storage/kv");
storage.get("/namespaces", kv.listNamespaces);
storage.post("/namespaces", kv.createNamespace);
storage.get("/namespaces/:namespace", kv.getNamespace);
storage.put("/namespaces/:namespace", kv.renameNamespace);
storage.delete("/namespaces/:namespace", kv.deleteNamespace);
storage.use("/namespaces/:namespace/*", requireResource("kv", "namespace"));
storage.get("/namespaces/:namespace/keys", kv.listKeys);
storage.get("/namespaces/:namespace/values/:key", kv.getValue);
storage.put("/namespaces/:namespace/values/:key", kv.putValue);
storage.delete("/namespaces/:namespace/values/:key", kv.deleteValue);
storage.get("/namespaces/:namespace/metadata/:key", kv.getMetadata);
storage.put("/namespaces/:namespace/bulk", kv.putBulk);
storage.delete("/namespaces/:namespace/bulk", kv.deleteBulk);
storage.post("/namespaces/:namespace/bulk/delete", kv.deleteBulk);
storage.post("/namespaces/:namespace/bulk/get", kv.getBulk);

const databases = v4.basePath("/accounts/:account/d1");
databases.get("/database", d1.listDatabases);
databases.post("/database", d1.createDatabase);
databases.get("/database/:database", d1.getDatabase);
databases.delete("/database/:database", d1.deleteDatabase);
databases.post("/database/:database/query", d1.queryDatabase);
databases.post("/database/:database/raw", d1.rawDatabase);
databases.post("/database/:database/import", d1Import.importFile);

const buckets = v4.basePath("/accounts/:account/r2");
buckets.get("/buckets", r2.listBuckets);
buckets.post("/buckets", r2.createBucket);
buckets.get("/buckets/:bucket", r2.getBucket);
buckets.delete("/buckets/:bucket", r2.deleteBucket);
buckets.use("/buckets/:bucket/objects/*", requireResource("r2", "bucket"));
buckets.get("/buckets/:bucket/objects/*", r2.getObject);
buckets.put("/buckets/:bucket/objects/*", r2.putObject);
buckets.delete("/buckets/:bucket/objects/*", r2.deleteObject);

const queueing = v4.basePath("/accounts/:account");
queueing.get("/queues", queues.listQueues);
queueing.post("/queues", queues.createQueue);
queueing.get("/queues/:queue", queues.getQueue);
queueing.delete("/queues/:queue", queues.deleteQueue);
queueing.post("/queues/:queue/purge", queues.purgeQueue);
queueing.get("/queues/:queue/consumers", queues.listConsumers);
queueing.post("/queues/:queue/consumers", queues.createConsumer);
queueing.put("/queues/:queue/consumers/:consumer", queues.updateConsumer);
queueing.delete("/queues/:queue/consumers/:consumer", queues.deleteConsumer);

v4.post("/accounts/:account/drain", account.drain);

v4.get("/accounts/:account/tokens", tokens.listTokens);
v4.post("/accounts/:account/tokens", tokens.createToken);
v4.delete("/accounts/:account/tokens/:token", tokens.revokeToken);

v4.post("/accounts/:account/analytics_engine/sql", analytics.queryDataset);

// What wrangler asks for before it uploads something that this release does not run: refused by name, not as unknown.
const absent: readonly (readonly [feature: string, advice: string, ...paths: string[]])[] = [
  [
    "exporting D1 databases",
    "read the tables with `wrangler d1 execute --command`",
    "/d1/database/:database/export",
  ],
  ["workflows", "remove `workflows` from the configuration", "/workflows", "/workflows/*"],
];
for (const [feature, advice, ...paths] of absent) {
  for (const path of paths) {
    v4.all(`/accounts/:account${path}`, () => failure({ reason: "unsupported", feature, advice }));
  }
}

/** Answers a path that the API does not have. */
export const noRoute = (c: Context) =>
  failure({ reason: "no-route", method: c.req.method, path: c.req.path });
for (const path of ["/client/*", "/healthz", "/metrics", "/tail/*"]) api.all(path, noRoute);

api.onError((error, c) => {
  log("error", "control-fault", {
    method: c.req.method,
    path: c.req.path,
    stack: error.stack ?? String(error),
  });
  return internalError();
});
