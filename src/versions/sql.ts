/** The registry's tables, and every statement over them. No SQL elsewhere. */
import type { Lifecycle } from "./classes.ts";
import type { Binding, Deployment, Inspection, Settings, Share, Source, Version } from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS worker (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL,
  tag TEXT,                          -- opaque id of the Worker; NULL while there is none by this name
  created_on TEXT,
  enabled INTEGER NOT NULL DEFAULT 1,
  settings TEXT NOT NULL DEFAULT '{"tags":null,"logpush":false,"observability":null}',
  revision INTEGER NOT NULL DEFAULT 0,   -- of what the router should see
  published INTEGER NOT NULL DEFAULT 0,  -- revision that KV is known to have
  last_time INTEGER NOT NULL DEFAULT 0   -- newest created_on given out, ms since the epoch
);
CREATE TABLE IF NOT EXISTS version (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  created_on TEXT NOT NULL,
  author_id TEXT NOT NULL,
  author_email TEXT NOT NULL,
  source TEXT NOT NULL,
  triggered_by TEXT NOT NULL,
  message TEXT,
  tag TEXT,
  main_module TEXT NOT NULL,
  compatibility_date TEXT NOT NULL,
  compatibility_flags TEXT NOT NULL,     -- JSON array
  bindings TEXT NOT NULL,                -- JSON array, secrets included
  inspection TEXT NOT NULL,              -- JSON object
  etag TEXT NOT NULL,
  size_bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS deployment (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  created_on TEXT NOT NULL,
  author_id TEXT NOT NULL,
  author_email TEXT NOT NULL,
  source TEXT NOT NULL,
  triggered_by TEXT NOT NULL,
  message TEXT,
  versions TEXT NOT NULL                 -- JSON array of shares
);
CREATE TABLE IF NOT EXISTS lifecycle (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  tag TEXT,                              -- of the last Durable Object migration
  since INTEGER NOT NULL,                -- number of the version that brought it
  classes TEXT NOT NULL                  -- JSON array of class_name and namespace_id
);
CREATE TABLE IF NOT EXISTS garbage (
  key TEXT PRIMARY KEY,                  -- KV key that nothing will refer to
  delete_after INTEGER NOT NULL          -- ms since the epoch
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

interface VersionRow extends Record<string, SqlStorageValue> {
  number: number;
  id: string;
  created_on: string;
  author_id: string;
  author_email: string;
  source: Source;
  triggered_by: Version["triggered_by"];
  message: string | null;
  tag: string | null;
  main_module: string;
  compatibility_date: string;
  compatibility_flags: string;
  bindings: string;
  inspection: string;
  etag: string;
  size_bytes: number;
}

interface DeploymentRow extends Record<string, SqlStorageValue> {
  id: string;
  created_on: string;
  author_id: string;
  author_email: string;
  source: Source;
  triggered_by: Deployment["triggered_by"];
  message: string | null;
  versions: string;
}

/** The one row about the Worker itself. */
export interface WorkerState {
  readonly name: string;
  readonly tag: string;
  readonly created_on: string;
  readonly enabled: boolean;
  readonly settings: Settings;
}

/** The Worker's classes, and the first version that has them. */
export interface StoredLifecycle extends Lifecycle {
  readonly since: number;
}

export type Statements = ReturnType<typeof statements>;

/** Creates the tables where they are missing and returns the statements. All of them are synchronous. */
export function statements(sql: SqlStorage) {
  sql.exec(SCHEMA);
  const first = <T extends Record<string, SqlStorageValue>>(query: string, ...bindings: unknown[]) =>
    sql.exec<T>(query, ...bindings).toArray()[0];
  const row = () => first<WorkerRow>("SELECT * FROM worker");

  return {
    /** Undefined while no Worker has this name. */
    worker(): WorkerState | undefined {
      const found = row();
      if (found === undefined || found.tag === null || found.created_on === null) return undefined;
      return {
        name: found.name,
        tag: found.tag,
        created_on: found.created_on,
        enabled: found.enabled === 1,
        settings: JSON.parse(found.settings),
      };
    },
    /** The name, also of a Worker that was deleted. */
    name(): string {
      return row()?.name ?? "";
    },
    createWorker(name: string, tag: string, createdOn: string): void {
      sql.exec(
        `INSERT INTO worker (id, name, tag, created_on) VALUES (1, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET tag = excluded.tag, created_on = excluded.created_on`,
        name,
        tag,
        createdOn,
      );
    },
    setEnabled(enabled: boolean): void {
      sql.exec("UPDATE worker SET enabled = ?", enabled ? 1 : 0);
    },
    setSettings(settings: Settings): void {
      sql.exec("UPDATE worker SET settings = ?", JSON.stringify(settings));
    },
    /** Forgets the Worker, but not the revision, so that no reader takes its successor for something older. */
    deleteWorker(): void {
      sql.exec("DELETE FROM version");
      sql.exec("DELETE FROM deployment");
      sql.exec("DELETE FROM lifecycle");
      sql.exec(
        `UPDATE worker SET tag = NULL, created_on = NULL, enabled = 1,
         settings = '{"tags":null,"logpush":false,"observability":null}'`,
      );
    },

    revision(): { readonly current: number; readonly published: number } {
      const found = row();
      return { current: found?.revision ?? 0, published: found?.published ?? 0 };
    },
    bumpRevision(): void {
      sql.exec("UPDATE worker SET revision = revision + 1");
    },
    setPublished(revision: number): void {
      sql.exec("UPDATE worker SET published = max(published, ?)", revision);
    },
    /** A time for a record: `wanted`, but later than every one before it, since lists are sorted by these texts. */
    nextTime(wanted: number): string {
      const time = Math.max(wanted, (row()?.last_time ?? 0) + 1);
      sql.exec("UPDATE worker SET last_time = ?", time);
      return new Date(time).toISOString();
    },

    nextNumber(): number {
      return (first<{ n: number }>("SELECT coalesce(max(number), 0) + 1 AS n FROM version") as { n: number })
        .n;
    },
    insertVersion(version: Version): void {
      sql.exec(
        `INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        version.number,
        version.id,
        version.created_on,
        version.author.id,
        version.author.email,
        version.source,
        version.triggered_by,
        version.message,
        version.tag,
        version.main_module,
        version.compatibility_date,
        JSON.stringify(version.compatibility_flags),
        JSON.stringify(version.bindings),
        JSON.stringify(version.inspection),
        version.etag,
        version.size_bytes,
      );
    },
    version(id: string): Version | undefined {
      const found = first<VersionRow>("SELECT * FROM version WHERE id = ?", id);
      return found && toVersion(found);
    },
    /** Newest first. */
    versions(limit: number): Version[] {
      return sql
        .exec<VersionRow>("SELECT * FROM version ORDER BY number DESC LIMIT ?", limit)
        .toArray()
        .map(toVersion);
    },
    latestVersion(): Version | undefined {
      return this.versions(1)[0];
    },
    versionIds(): string[] {
      return sql
        .exec<{ id: string }>("SELECT id FROM version")
        .toArray()
        .map(({ id }) => id);
    },

    insertDeployment(deployment: Deployment): void {
      sql.exec(
        `INSERT INTO deployment (id, created_on, author_id, author_email, source, triggered_by, message, versions)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        deployment.id,
        deployment.created_on,
        deployment.author.id,
        deployment.author.email,
        deployment.source,
        deployment.triggered_by,
        deployment.message,
        JSON.stringify(deployment.versions),
      );
    },
    /** Newest first. */
    deployments(): Deployment[] {
      return sql
        .exec<DeploymentRow>("SELECT * FROM deployment ORDER BY seq DESC")
        .toArray()
        .map(toDeployment);
    },
    deployment(id: string): Deployment | undefined {
      const found = first<DeploymentRow>("SELECT * FROM deployment WHERE id = ?", id);
      return found && toDeployment(found);
    },
    activeDeployment(): Deployment | undefined {
      const found = first<DeploymentRow>("SELECT * FROM deployment ORDER BY seq DESC LIMIT 1");
      return found && toDeployment(found);
    },

    lifecycle(): StoredLifecycle {
      const found = first<{ tag: string | null; since: number; classes: string }>("SELECT * FROM lifecycle");
      if (found === undefined) return { tag: null, since: 0, classes: [] };
      return { tag: found.tag, since: found.since, classes: JSON.parse(found.classes) };
    },
    setLifecycle({ tag, since, classes }: StoredLifecycle): void {
      sql.exec("INSERT OR REPLACE INTO lifecycle VALUES (1, ?, ?, ?)", tag, since, JSON.stringify(classes));
    },

    discard(key: string, deleteAfter: number): void {
      sql.exec("INSERT OR REPLACE INTO garbage VALUES (?, ?)", key, deleteAfter);
    },
    keep(key: string): void {
      sql.exec("DELETE FROM garbage WHERE key = ?", key);
    },
    garbage(now: number): string[] {
      return sql
        .exec<{ key: string }>("SELECT key FROM garbage WHERE delete_after <= ? LIMIT 100", now)
        .toArray()
        .map(({ key }) => key);
    },
    /** When the next key may be deleted, in ms since the epoch; undefined where there is none. */
    nextGarbageTime(): number | undefined {
      return first<{ t: number | null }>("SELECT min(delete_after) AS t FROM garbage")?.t ?? undefined;
    },
  };
}

function toVersion(row: VersionRow): Version {
  return {
    id: row.id,
    number: row.number,
    created_on: row.created_on,
    author: { id: row.author_id, email: row.author_email },
    source: row.source,
    triggered_by: row.triggered_by,
    message: row.message,
    tag: row.tag,
    main_module: row.main_module,
    compatibility_date: row.compatibility_date,
    compatibility_flags: JSON.parse(row.compatibility_flags),
    bindings: JSON.parse(row.bindings) as Binding[],
    inspection: JSON.parse(row.inspection) as Inspection,
    etag: row.etag,
    size_bytes: row.size_bytes,
  };
}

function toDeployment(row: DeploymentRow): Deployment {
  return {
    id: row.id,
    created_on: row.created_on,
    author: { id: row.author_id, email: row.author_email },
    source: row.source,
    triggered_by: row.triggered_by,
    message: row.message,
    versions: JSON.parse(row.versions) as Share[],
  };
}
