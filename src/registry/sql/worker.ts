/** The Worker itself: its settings, its revision and its Durable Object classes. */
import type { Lifecycle } from "../../versions/classes.ts";
import type { Settings, WorkerState } from "../../versions/types.ts";
import { first } from "./first.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS worker (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL,
  tag TEXT,                          -- opaque id of the Worker; NULL while there is none by this name
  created_on TEXT,
  enabled INTEGER NOT NULL DEFAULT 1,
  settings TEXT NOT NULL DEFAULT '{}',   -- JSON object: what differs from DEFAULT_SETTINGS
  revision INTEGER NOT NULL DEFAULT 0,   -- of what the router should see
  published INTEGER NOT NULL DEFAULT 0,  -- revision that KV is known to have
  last_time INTEGER NOT NULL DEFAULT 0   -- newest created_on given out, ms since the epoch
);
CREATE TABLE IF NOT EXISTS lifecycle (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  tag TEXT,                              -- of the last Durable Object migration
  since INTEGER NOT NULL,                -- number of the version that brought it
  classes TEXT NOT NULL                  -- JSON array of class_name and namespace_id
);
`;

interface WorkerRow extends Record<string, SqlStorageValue> {
  name: string;
  tag: string | null;
  created_on: string | null;
  enabled: number;
  settings: string;
  revision: number;
  published: number;
  last_time: number;
}

/** The settings of a new Worker. A Worker from before a setting existed gets that setting from here too. */
const DEFAULT_SETTINGS: Settings = {
  tags: null,
  logpush: false,
  observability: null,
  previews: null,
  affinity: null,
  expose_version: false,
  retention: { versions: 10, hours: 48 },
  protect: false,
  quarantine: [],
  held: [],
  released: null,
  webhooks: [],
};

/** The Worker's classes, and the number of the first version that has them. */
interface StoredLifecycle extends Lifecycle {
  readonly since: number;
}

export class WorkerTable {
  readonly #sql: SqlStorage;

  /** Creates the tables where they are missing. */
  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** Undefined while no Worker has this name. */
  state(): WorkerState | undefined {
    const found = this.#row();
    if (found === undefined || found.tag === null || found.created_on === null) return undefined;
    return {
      name: found.name,
      tag: found.tag,
      created_on: found.created_on,
      enabled: found.enabled === 1,
      settings: { ...DEFAULT_SETTINGS, ...JSON.parse(found.settings) },
    };
  }

  /** The name, even after the Worker was deleted. */
  name(): string {
    return this.#row()?.name ?? "";
  }

  create(name: string, tag: string, createdOn: string): void {
    this.#sql.exec(
      `INSERT INTO worker (id, name, tag, created_on) VALUES (1, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET tag = excluded.tag, created_on = excluded.created_on`,
      name,
      tag,
      createdOn,
    );
  }

  setEnabled(enabled: boolean): void {
    this.#sql.exec("UPDATE worker SET enabled = ?", enabled ? 1 : 0);
  }

  setSettings(settings: Settings): void {
    this.#sql.exec("UPDATE worker SET settings = ?", JSON.stringify(settings));
  }

  /** `current` counts the changes of the published record. KV and every process have `published`. */
  revision(): { readonly current: number; readonly published: number } {
    const found = this.#row();
    return { current: found?.revision ?? 0, published: found?.published ?? 0 };
  }

  bumpRevision(): void {
    this.#sql.exec("UPDATE worker SET revision = revision + 1");
  }

  setPublished(revision: number): void {
    this.#sql.exec("UPDATE worker SET published = max(published, ?)", revision);
  }

  /** `wanted`, or 1 ms after the last time returned where that is later: lists sort by these texts. */
  nextTime(wanted: number): string {
    const time = Math.max(wanted, (this.#row()?.last_time ?? 0) + 1);
    this.#sql.exec("UPDATE worker SET last_time = ?", time);
    return new Date(time).toISOString();
  }

  lifecycle(): StoredLifecycle {
    const found = first<{ tag: string | null; since: number; classes: string }>(
      this.#sql,
      "SELECT * FROM lifecycle",
    );
    if (found === undefined) return { tag: null, since: 0, classes: [] };
    return { tag: found.tag, since: found.since, classes: JSON.parse(found.classes) };
  }

  setLifecycle({ tag, since, classes }: StoredLifecycle): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO lifecycle VALUES (1, ?, ?, ?)",
      tag,
      since,
      JSON.stringify(classes),
    );
  }

  /** Keeps the revision: otherwise a reader would take a new Worker of this name for an older record. */
  clear(): void {
    this.#sql.exec("DELETE FROM lifecycle");
    this.#sql.exec("UPDATE worker SET tag = NULL, created_on = NULL, enabled = 1, settings = '{}'");
  }

  #row(): WorkerRow | undefined {
    return first<WorkerRow>(this.#sql, "SELECT * FROM worker");
  }
}
