/** Versions that are kept from running because they ended the process that ran them. Called in transactions. */
import { log } from "../lib/log.ts";
import type { Author, Quarantined, WorkerState } from "../versions/types.ts";
import { insertDeployment } from "./deployments.ts";
import type { RegistryRollouts } from "./rollouts.ts";
import { updateSettings } from "./settings.ts";
import type { Database } from "./sql/index.ts";
import type { Actor } from "./types.ts";

/** Sluice itself. */
export const WATCHDOG: Author = { id: "sluice-watchdog", email: "watchdog" };
const ACTOR: Actor = { author: WATCHDOG, source: "api" };

/**
 * Quarantines a version and gives its share to the other one: its rollout rolls back, and so does a split without one. A
 * version that serves alone keeps serving, since nothing could take its place.
 */
export function quarantine(
  db: Database,
  rollouts: RegistryRollouts,
  state: WorkerState,
  { version_id, why }: Pick<Quarantined, "version_id" | "why">,
): void {
  const now = Date.now();
  const before = state.settings.quarantine;
  const active = db.deployments.active()?.versions ?? [];
  const others = active.filter((share) => share.version_id !== version_id && share.percentage > 0);
  const isAlone = others.length === 0 && active.some((share) => share.version_id === version_id);
  log("error", "version-harmful", { worker: state.name, version: version_id, why, quarantined: !isAlone });
  if (isAlone || before.some((each) => each.version_id === version_id)) return;
  const since = new Date(now).toISOString();
  updateSettings(db, ACTOR, state, { quarantine: [...before, { version_id, why, since }] });
  const [stable] = others;
  if (rollouts.rollBackFor(version_id, why) || active.length !== 2 || stable === undefined) return;
  insertDeployment(
    db,
    {
      versions: [{ ...stable, percentage: 100 }],
      ...ACTOR,
      triggered_by: "rollout",
      message: `Version ${version_id} was taken back: ${why}`,
    },
    now,
  );
}

/** Lets a version run again. @returns whether it was in quarantine */
export function release(db: Database, actor: Actor, state: WorkerState, version: string): boolean {
  const left = state.settings.quarantine.filter(({ version_id }) => version_id !== version);
  if (left.length === state.settings.quarantine.length) return false;
  updateSettings(db, actor, state, { quarantine: left });
  return true;
}
