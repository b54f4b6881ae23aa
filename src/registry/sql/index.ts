/** The registry's database: one class per noun, with its tables and every statement over them. */
import { AssetTables } from "./assets.ts";
import { AuditTable } from "./audit.ts";
import { DeploymentTable } from "./deployments.ts";
import { Outbox } from "./outbox.ts";
import { VersionTable } from "./versions.ts";
import { WorkerTable } from "./worker.ts";

/** Every method is synchronous. */
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

/** Deletes the Worker's rows. The audit trail, the revision and the keys to delete from KV stay. */
export function clearWorker({ worker, versions, deployments, assets, outbox }: Database): void {
  for (const table of [versions, deployments, assets, outbox, worker]) table.clear();
}
