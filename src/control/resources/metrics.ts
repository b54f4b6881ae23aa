/** Counts of requests: `…/scripts/{worker}/metrics`, and `/metrics` for Prometheus. */

import { accountOf } from "../../account/registry.ts";
import type { Env } from "../../lib/env.ts";
import { LIMITS } from "../../lib/limits.ts";
import { isSafeMode } from "../../lib/safe-mode.ts";
import { healthAt } from "../../metrics/health.ts";
import { CONTENT_TYPES, formatOf, renderMetrics } from "../../metrics/openmetrics.ts";
import { processFamilies } from "../../metrics/process-families.ts";
import { reportOf, type WorkerReport } from "../../metrics/report.ts";
import { metricsOf } from "../../metrics/store.ts";
import type { WorkerOverview } from "../../registry/types.ts";
import { fleetOf } from "../../runtime/fleet.ts";
import type { Deployment } from "../../versions/types.ts";
import { allWorkers, type ControlContext, workerName } from "../context.ts";
import { success } from "../envelope.ts";

/** GET …/metrics. `?series=true` adds the last half hour, in steps of five seconds. */
export async function getMetrics(c: ControlContext, overview: WorkerOverview): Promise<Response> {
  await flush(c);
  const report = await readReport(c.env, workerName(c), overview.active);
  if (c.req.query("series") !== "true") return success(report);
  const since = (Date.now() - LIMITS.metrics.seriesMs) / 1_000;
  const series = await metricsOf(c.env).series(workerName(c), since);
  return success({ ...report, interval_seconds: LIMITS.metrics.seriesIntervalMs / 1_000, series });
}

async function readReport(env: Env, worker: string, active: Deployment | undefined): Promise<WorkerReport> {
  const now = Date.now();
  const deployed = active === undefined ? now : Date.parse(active.created_on);
  // Only whole intervals of this deployment: the interval in which it began also counted the previous one.
  const interval = LIMITS.metrics.seriesIntervalMs;
  const since = Math.ceil(Math.max(now - LIMITS.metrics.recentMs, deployed) / interval) * interval;
  const metrics = metricsOf(env);
  const [counts, series] = await Promise.all([metrics.of(worker), metrics.series(worker, since / 1_000)]);
  const seconds = Math.max(Math.round((now - since) / 1_000), 0);
  return reportOf(counts, active?.versions ?? [], series, seconds);
}

/** Makes every process send its counts, so that the next read has all of them. */
export async function flush(c: ControlContext): Promise<void> {
  await fleetOf(c.env, c.executionCtx.exports.Follower).flush();
}

/** GET /metrics. */
export async function scrape(c: ControlContext): Promise<Response> {
  await flush(c);
  const format = formatOf(c.req.header("Accept"));
  const [counts, workers, incidents] = await Promise.all([
    metricsOf(c.env).all(),
    allWorkers(c.env),
    accountOf(c.env).incidents(),
  ]);
  const processes = processFamilies(healthAt(Date.now()), incidents);
  const all = { ...counts, safeMode: isSafeMode(c.env) };
  return new Response(renderMetrics(all, workers, processes, format), {
    headers: { "Content-Type": CONTENT_TYPES[format], Vary: "Accept" },
  });
}
