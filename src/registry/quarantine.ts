/** Versions that are kept from running because they ended the process that ran them. Called in transactions. */
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { apartOf } from "../versions/placement.ts";
import type { Author, HeldEvent, Quarantined, WorkerState } from "../versions/types.ts";
import { insertDeployment } from "./deployments.ts";
import type { RegistryRollouts } from "./rollouts.ts";
import { updateSettings } from "./settings.ts";
import type { Database } from "./sql/index.ts";
import type { Actor } from "./types.ts";

/** Sluice itself. */
export const WATCHDOG: Author = { id: "sluice-watchdog", email: "watchdog" };
const ACTOR: Actor = { author: WATCHDOG, source: "api" };

/**
 * Quarantines a version and gives its share to the other one: its rollout rolls back, and so does a split without one. The
 * stable version keeps serving: nothing has shown that another one does better.
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
  const isDeployed = active.some((share) => share.version_id === version_id);
  const isStable =
    isDeployed && version_id !== rollouts.candidate && version_id !== apartOf(active, rollouts.candidate);
  log("error", "version-harmful", { worker: state.name, version: version_id, why, quarantined: !isStable });
  if (isStable || before.some((each) => each.version_id === version_id)) return;
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

/** Notes that an event is held, once for the code that it was held with. */
export function hold(db: Database, state: WorkerState, event: Omit<HeldEvent, "since">): void {
  const { kind, what, code } = event;
  const { held } = state.settings;
  if (held.some((each) => each.kind === kind && each.what === what && each.code === code)) return;
  log("error", "event-held", { worker: state.name, kind, what });
  const noted: HeldEvent = { ...event, since: new Date().toISOString() };
  const others = held.filter((each) => each.kind !== kind || each.what !== what);
  updateSettings(db, ACTOR, state, { held: [...others, noted].slice(-LIMITS.events.maxHeld) });
}

/**
 * Lets a version run again, or everything that is kept from running.
 *
 * @param version undefined for everything
 * @returns whether the version was in quarantine
 */
export function release(db: Database, actor: Actor, state: WorkerState, version?: string): boolean {
  if (version === undefined) {
    updateSettings(db, actor, state, { quarantine: [], held: [], released: new Date().toISOString() });
    return true;
  }
  const left = state.settings.quarantine.filter(({ version_id }) => version_id !== version);
  if (left.length === state.settings.quarantine.length) return false;
  updateSettings(db, actor, state, { quarantine: left });
  return true;
}
