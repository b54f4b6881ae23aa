/** The registry's database: its tables by noun, each with all statements over it. No SQL elsewhere in the registry. */
import { AssetTables } from "./assets.ts";
import { AuditTable } from "./audit.ts";
import { DeploymentTable } from "./deployments.ts";
import { Outbox } from "./outbox.ts";
import { VersionTable } from "./versions.ts";
import { WorkerTable } from "./worker.ts";

/** All of it is synchronous. */
export interface Database {
  readonly worker: WorkerTable;
  readonly versions: VersionTable;
  readonly deployments: DeploymentTable;
  readonly assets: AssetTables;
  readonly audit: AuditTable;
  readonly outbox: Outbox;
}

export function openDatabase(sql: SqlStorage): Database {
  return {
    worker: new WorkerTable(sql),
    versions: new VersionTable(sql),
    deployments: new DeploymentTable(sql),
    assets: new AssetTables(sql),
    audit: new AuditTable(sql),
    outbox: new Outbox(sql),
  };
}

/** Forgets a Worker with all that belongs to it. The audit trail stays, and so do the keys to delete. */
export function clearWorker({ worker, versions, deployments, assets, outbox }: Database): void {
  for (const table of [versions, deployments, assets, outbox, worker]) table.clear();
}
