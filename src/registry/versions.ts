/** Records versions, and deletes what a Worker has in KV. Called in transactions. */
import { newId } from "../lib/ids.ts";
import { previewKey, versionKey } from "../versions/keys.ts";
import { previewLabels } from "../versions/preview.ts";
import type { PreviewRecord } from "../versions/record.ts";
import type { Version } from "../versions/types.ts";
import type { Database } from "./sql/index.ts";
import type { RecordVersion } from "./types.ts";

/** Records a version whose code is in KV, and creates the Worker where it is the first one. */
export function insertVersion(db: Database, worker: string, input: RecordVersion): Version {
  if (db.worker.state() === undefined) db.worker.create(worker, newId(), new Date().toISOString());
  const version: Version = {
    ...input.version,
    number: db.versions.nextNumber(),
    created_on: db.worker.nextTime(Date.parse(input.version.created_on)),
    ...input.actor,
  };
  db.versions.insert(version);
  const { id: version_id, number, triggered_by, message } = version;
  const detail = { version_id, number, triggered_by, message };
  db.audit.add(Date.now(), { ...input.actor, action: "version", detail });
  db.outbox.keep(versionKey(version_id));
  const preview: PreviewRecord = { worker, version_id };
  for (const key of previewLabels(worker, version).map(previewKey)) {
    db.outbox.keep(key);
    db.outbox.writeLater(key, JSON.stringify(preview));
  }
  if (input.lifecycle !== null) db.worker.setLifecycle({ ...input.lifecycle, since: number });
  const settings = db.worker.state()?.settings;
  if (settings !== undefined) db.worker.setSettings({ ...settings, ...input.settings });
  return version;
}

/** Marks everything that a Worker has in KV, except its record, for deletion. @returns the ids of its versions */
export function discardKeys(db: Database, worker: string): readonly string[] {
  const versions = db.versions.ids();
  const labels = [
    ...versions.flatMap((id) => previewLabels(worker, { id, alias: null })),
    ...db.versions.aliases().flatMap((alias) => previewLabels(worker, { id: "", alias })),
  ];
  const keys = [...versions.map(versionKey), ...labels.map(previewKey), ...db.assets.keys()];
  for (const key of keys) db.outbox.discard(key, Date.now());
  return versions;
}
