/** What a registry publishes: the record for routers, and its summary for lists of Workers. Only reads the database. */
import { LIMITS } from "../lib/limits.ts";
import { watchedOf } from "../rollout/baseline.ts";
import type { Rollout } from "../rollout/types.ts";
import { classesByNamespace } from "../versions/classes.ts";
import { previewsOf } from "../versions/preview.ts";
import type { DeploymentRecord, WorkerSummary } from "../versions/record.ts";
import { retain } from "../versions/retention.ts";
import type { Database } from "./sql/index.ts";

/**
 * The record that the router follows; undefined while nothing is deployed.
 *
 * @param rollout the active one
 * @param now in ms since the epoch
 */
export function recordOf(
  db: Database,
  rollout: Rollout | undefined,
  now: number,
): DeploymentRecord | undefined {
  const worker = db.worker.state();
  const active = db.deployments.active();
  if (worker === undefined || active === undefined) return undefined;
  const classes = classesByNamespace(db.worker.lifecycle());
  const { affinity, expose_version, retention, quarantine, released } = worker.settings;
  const retained = retain(db.deployments.withAssets(LIMITS.assets.maxRetained), retention, now);
  return {
    schema: 1,
    worker: worker.name,
    revision: db.worker.revision().current,
    deployment_id: active.id,
    enabled: worker.enabled,
    versions: active.versions,
    previews: previewsOf(worker),
    ...(classes === undefined ? {} : { classes }),
    ...(affinity === null ? {} : { affinity }),
    ...(expose_version ? { expose_version } : {}),
    ...(retained.length === 0 ? {} : { retained }),
    ...(quarantine.length === 0 ? {} : { quarantined: quarantine.map(({ version_id }) => version_id) }),
    ...(released === null ? {} : { released }),
    ...(rollout === undefined ? {} : { rollout: watchedOf(rollout, active.versions) }),
  };
}

/** What lists of Workers show of a record. @param newest the newest rollout, active or ended */
export function summaryOf(
  db: Database,
  { revision, enabled, deployment_id, versions }: DeploymentRecord,
  newest: Rollout | undefined,
): WorkerSummary {
  return {
    revision,
    enabled,
    created_on: db.worker.state()?.created_on ?? "",
    deployed_on: db.deployments.active()?.created_on ?? "",
    deployment_id,
    versions,
    rollout: newest === undefined ? null : { id: newest.id, phase: newest.phase },
  };
}
