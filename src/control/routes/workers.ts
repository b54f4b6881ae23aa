/** `/accounts/{account}/workers`: path, guards, handler. */
import { Hono } from "hono";
import type { ControlEnv } from "../context.ts";
import { json, tailing, validName, worker } from "../guards.ts";
import * as account from "../resources/account.ts";
import * as assets from "../resources/assets.ts";
import * as deployments from "../resources/deployments.ts";
import * as metrics from "../resources/metrics.ts";
import * as options from "../resources/options.ts";
import * as rollouts from "../resources/rollouts.ts";
import * as scripts from "../resources/scripts.ts";
import * as secrets from "../resources/secrets.ts";
import * as tails from "../resources/tails.ts";
import * as triggers from "../resources/triggers.ts";
import * as versions from "../resources/versions.ts";
import { rolloutBody } from "../rollout-body.ts";
import * as schemas from "../schemas.ts";

export function workerRoutes(): Hono<ControlEnv> {
  const app = new Hono<ControlEnv>();
  for (const path of ["/scripts/:worker", "/scripts/:worker/*", "/services/:worker", "/workers/:worker/*"]) {
    app.use(path, validName);
  }
  addScripts(app);
  addVersions(app);
  addSecrets(app);
  addTriggers(app);
  addOperations(app);
  return app;
}

/** The Workers themselves, and what belongs to a Worker and not to a version. */
function addScripts(app: Hono<ControlEnv>): void {
  app.get("/scripts", scripts.listScripts);
  app.get("/services/:worker", worker, (c) => scripts.getService(c.var.overview));
  app.delete("/services/:worker", worker, scripts.deleteService);
  app.get("/workers/:worker", worker, (c) => scripts.getWorker(c, c.var.overview));
  app.get("/scripts/:worker/settings", worker, (c) => scripts.getSettings(c.var.overview));
  app.get("/scripts/:worker/script-settings", worker, (c) => scripts.getScriptSettings(c.var.overview));
  app.patch("/scripts/:worker/script-settings", json(schemas.settingsBody), (c) =>
    scripts.patchScriptSettings(c, c.req.valid("json")),
  );
  app.get("/scripts/:worker/subdomain", worker, (c) => scripts.getSubdomain(c.var.overview));
  app.post("/scripts/:worker/subdomain", json(schemas.subdomainBody), (c) =>
    scripts.setSubdomain(c, c.req.valid("json")),
  );
  app.get("/scripts/:worker/references", worker, scripts.getReferences);
  app.get("/tails/by-consumer/:worker", worker, scripts.getTailProducers);
  app.get("/subdomain", account.getSubdomain);
  app.get("/durable_objects/namespaces", account.listNothing);
}

/** Uploads, versions, deployments and what they decide. */
function addVersions(app: Hono<ControlEnv>): void {
  app.patch("/workers/:worker/versions/latest", worker, json(schemas.versionPatch), (c) =>
    versions.patchLatestVersion(c, c.var.overview, c.req.valid("json")),
  );
  app.put("/scripts/:worker", versions.putScript);
  app.get("/scripts/:worker/versions", worker, (c) => versions.listVersions(c, c.var.overview));
  app.post("/scripts/:worker/versions", worker, (c) => versions.uploadVersion(c, c.var.overview));
  app.get("/scripts/:worker/versions/:version", worker, (c) => versions.getVersion(c, c.var.overview));
  app.get("/scripts/:worker/deployments", worker, deployments.listDeployments);
  app.post("/scripts/:worker/deployments", json(schemas.deploymentBody), (c) =>
    deployments.createDeployment(c, c.req.valid("json")),
  );
  app.get("/scripts/:worker/deployments/:deployment", worker, deployments.getDeployment);
  app.get("/scripts/:worker/explain", worker, deployments.explain);
}

/** Secrets. Each change makes a version. */
function addSecrets(app: Hono<ControlEnv>): void {
  app.get("/scripts/:worker/secrets", worker, (c) => secrets.listSecrets(c.var.overview));
  app.put("/scripts/:worker/secrets", json(schemas.secretBody), worker, (c) =>
    secrets.putSecret(c, c.var.overview, c.req.valid("json")),
  );
  app.delete("/scripts/:worker/secrets/:secret", worker, (c) => secrets.deleteSecret(c, c.var.overview));
  app.patch("/scripts/:worker/secrets-bulk", json(schemas.bulkSecretsBody), worker, (c) =>
    secrets.bulkSecrets(c, c.var.overview, c.req.valid("json")),
  );
}

/** Routes, custom domains and cron triggers. */
function addTriggers(app: Hono<ControlEnv>): void {
  app.get("/scripts/:worker/schedules", worker, triggers.listSchedules);
  app.put("/scripts/:worker/schedules", worker, json(triggers.schedulesBody), (c) =>
    triggers.putSchedules(c, c.req.valid("json")),
  );
  app.get("/scripts/:worker/schedules/runs", worker, triggers.listCronRuns);
  app.get("/scripts/:worker/routes", worker, triggers.listRoutes);
  app.put("/scripts/:worker/routes", worker, json(triggers.routesBody), (c) =>
    triggers.putRoutes(c, c.req.valid("json")),
  );
  app.post("/scripts/:worker/domains/changeset", worker, json(triggers.domainsBody), (c) =>
    triggers.domainChangeset(c, c.req.valid("json")),
  );
  app.put("/scripts/:worker/domains/records", worker, json(triggers.domainRecordsBody), (c) =>
    triggers.putDomains(c, c.req.valid("json")),
  );
  app.get("/domains", triggers.listDomains);
  app.get("/domains/records", triggers.listDomains);
  app.get("/domains/records/:domain", triggers.getDomain);
}

/** Rollouts, counts, the audit trail, options, tails and uploads of assets. */
function addOperations(app: Hono<ControlEnv>): void {
  app.post("/scripts/:worker/tails", worker, tailing, json(tails.tailBody), (c) =>
    tails.createTail(c, c.req.valid("json")),
  );
  app.delete("/scripts/:worker/tails/:tail", tails.deleteTail);
  app.post("/scripts/:worker/assets-upload-session", json(schemas.assetsManifest), (c) =>
    assets.openSession(c, c.req.valid("json")),
  );
  app.get("/scripts/:worker/quarantine", worker, (c) => options.getQuarantine(c.var.overview));
  app.post("/scripts/:worker/quarantine", json(options.quarantineBody), (c) =>
    options.addToQuarantine(c, c.req.valid("json")),
  );
  app.delete("/scripts/:worker/quarantine", worker, options.releaseAll);
  app.delete("/scripts/:worker/quarantine/:version", worker, options.releaseFromQuarantine);
  app.get("/scripts/:worker/affinity", worker, (c) => options.getAffinity(c.var.overview));
  app.put("/scripts/:worker/affinity", json(options.affinityBody), (c) =>
    options.putAffinity(c, c.req.valid("json")),
  );
  app.post("/scripts/:worker/rollouts", json(rolloutBody), (c) =>
    rollouts.startRollout(c, c.req.valid("json")),
  );
  app.get("/scripts/:worker/rollouts", worker, rollouts.listRollouts);
  app.get("/scripts/:worker/rollouts/:rollout", worker, rollouts.getRollout);
  app.get("/scripts/:worker/rollouts/:rollout/certificate", worker, rollouts.getCertificate);
  app.get("/scripts/:worker/metrics", worker, (c) => metrics.getMetrics(c, c.var.overview));
  app.get("/scripts/:worker/audit", scripts.listAudit);
  app.get("/scripts/:worker/options", worker, (c) => options.getOptions(c.var.overview));
  app.patch("/scripts/:worker/options", json(options.optionsBody), (c) =>
    options.patchOptions(c, c.req.valid("json")),
  );
  for (const command of ["pause", "resume", "approve", "promote", "abort"] as const) {
    app.post(`/scripts/:worker/rollouts/:rollout/${command}`, worker, (c) =>
      rollouts.commandRollout(c, command),
    );
  }
}
