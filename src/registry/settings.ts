/** Changes of a Worker's settings, with their entries in the audit trail. Called in transactions. */
import type { Settings, WorkerState } from "../versions/types.ts";
import type { Database } from "./sql/index.ts";
import type { Actor } from "./types.ts";

/** Settings that are part of the record that the router reads. */
const IN_RECORD: readonly (keyof Settings)[] = [
  "previews",
  "affinity",
  "expose_version",
  "retention",
  "quarantine",
  "released",
];

export function setSubdomain(
  db: Database,
  actor: Actor,
  state: WorkerState,
  { enabled, previews }: { readonly enabled: boolean; readonly previews: boolean | null },
): WorkerState {
  if (state.enabled === enabled && state.settings.previews === previews) return state;
  const settings = { ...state.settings, previews };
  db.worker.setEnabled(enabled);
  db.worker.setSettings(settings);
  db.audit.add(Date.now(), { ...actor, action: "settings", detail: { enabled, previews } });
  db.worker.bumpRevision();
  return { ...state, enabled, settings };
}

export function updateSettings(
  db: Database,
  actor: Actor,
  state: WorkerState,
  change: Partial<Settings>,
): Settings {
  const settings = { ...state.settings, ...change };
  db.worker.setSettings(settings);
  db.audit.add(Date.now(), { ...actor, action: "settings", detail: withoutSecrets(change) });
  if (IN_RECORD.some((name) => name in change)) db.worker.bumpRevision();
  return settings;
}

/** As the audit trail shows it: webhooks without their secrets. */
function withoutSecrets({ webhooks, ...change }: Partial<Settings>): Readonly<Record<string, unknown>> {
  return { ...change, ...(webhooks === undefined ? {} : { webhooks: webhooks.map(({ url }) => url) }) };
}
