/** Deletes a Worker's record. Called in a transaction. */
import type { Notices } from "../rollout/notify.ts";
import type { Rollouts } from "../rollout/runner.ts";
import { clearWorker, type Database } from "./sql/index.ts";
import type { Actor } from "./types.ts";
import { discardKeys } from "./versions.ts";

interface Parts {
  readonly db: Database;
  readonly rollouts: Rollouts;
  readonly notices: Notices;
}

/** Deletes everything but the audit trail and the revision. @returns the ids of the versions */
export function removeWorker(
  { db, rollouts, notices }: Parts,
  actor: Actor,
  worker: string,
): readonly string[] {
  const versions = discardKeys(db, worker);
  clearWorker(db);
  rollouts.clear();
  notices.clear();
  db.worker.bumpRevision();
  db.audit.add(Date.now(), { ...actor, action: "delete", detail: {} });
  return versions;
}
