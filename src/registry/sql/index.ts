/** The registry's tables, and every statement over them. No SQL elsewhere. */

import type { Manifest } from "../../assets/manifest.ts";
import type { Binding } from "../../versions/binding-types.ts";
import type { Lifecycle } from "../../versions/classes.ts";
import type { Deployed } from "../../versions/retention.ts";
import type {
  AssetsOfVersion,
  Deployment,
  Inspection,
  Settings,
  Share,
  Source,
  Version,
  WorkerState,
} from "../../versions/types.ts";
import type { AuditAction, AuditEntry } from "../types.ts";

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
CREATE TABLE IF NOT EXISTS version_detail (
  version_id TEXT PRIMARY KEY,
  assets TEXT,                           -- JSON object; NULL where it has none
  alias TEXT                             -- name to preview it under, as it was uploaded
);
CREATE TABLE IF NOT EXISTS deployed (
  version_id TEXT PRIMARY KEY,           -- every version that was in a deployment
  left_on INTEGER                        -- ms since the epoch; NULL while the active one has it
);
CREATE TABLE IF NOT EXISTS asset_folder (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  folder TEXT NOT NULL                   -- begins the KV keys of the Worker's files; another one after it was deleted
);
CREATE TABLE IF NOT EXISTS asset (
  key TEXT PRIMARY KEY                   -- KV key of a file or a set that is in KV
);
CREATE TABLE IF NOT EXISTS asset_session (
  id TEXT PRIMARY KEY,
  expires INTEGER NOT NULL               -- seconds since the epoch
);
CREATE TABLE IF NOT EXISTS announced_file (
  session TEXT NOT NULL,
  path TEXT NOT NULL,
  hash TEXT NOT NULL,
  size INTEGER NOT NULL,                 -- bytes
  PRIMARY KEY (session, path)
);
CREATE TABLE IF NOT EXISTS audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,                 -- ms since the epoch
  author TEXT NOT NULL,                  -- JSON object
  source TEXT NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL                   -- JSON object
);
CREATE TABLE IF NOT EXISTS kv_write (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL                    -- to be in KV, but not known to be
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

/** What a Worker begins with, and what one that was made before a setting existed has. */
const DEFAULT_SETTINGS: Settings = {
  tags: null,
  logpush: false,
  observability: null,
  previews: null,
  affinity: null,
  expose_version: false,
  retention: { versions: 10, hours: 48 },
  protect: false,
  webhooks: [],
};

/** Joins what newer releases know of a version to it. */
const VERSIONS =
  "SELECT version.*, detail.assets, detail.alias FROM version LEFT JOIN version_detail AS detail ON version_id = id";

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
  assets: string | null;
  alias: string | null;
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

interface AuditRow extends Record<string, SqlStorageValue> {
  seq: number;
  time: number;
  author: string;
  source: Source;
  action: AuditAction;
  detail: string;
}

/** The Worker's classes, and the first version that has them. */
interface StoredLifecycle extends Lifecycle {
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
        settings: { ...DEFAULT_SETTINGS, ...JSON.parse(found.settings) },
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
      sql.exec("DELETE FROM version_detail");
      sql.exec("DELETE FROM deployed");
      sql.exec("DELETE FROM asset_folder");
      sql.exec("DELETE FROM asset");
      sql.exec("DELETE FROM asset_session");
      sql.exec("DELETE FROM announced_file");
      sql.exec("DELETE FROM kv_write");
      sql.exec("UPDATE worker SET tag = NULL, created_on = NULL, enabled = 1, settings = '{}'");
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
      const assets = version.assets === null ? null : JSON.stringify(version.assets);
      sql.exec("INSERT INTO version_detail VALUES (?, ?, ?)", version.id, assets, version.alias);
    },
    version(id: string): Version | undefined {
      const found = first<VersionRow>(`${VERSIONS} WHERE id = ?`, id);
      return found && toVersion(found);
    },
    /** Newest first. @param offset how many of the newest to leave out */
    versions(limit: number, offset = 0): Version[] {
      return sql
        .exec<VersionRow>(`${VERSIONS} ORDER BY number DESC LIMIT ? OFFSET ?`, limit, offset)
        .toArray()
        .map(toVersion);
    },
    versionCount(): number {
      return first<{ n: number }>("SELECT count(*) AS n FROM version")?.n ?? 0;
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
    /** The aliases under which versions were uploaded. */
    aliases(): string[] {
      return sql
        .exec<{ alias: string }>("SELECT DISTINCT alias FROM version_detail WHERE alias IS NOT NULL")
        .toArray()
        .map(({ alias }) => alias);
    },

    /** Notes which versions the active deployment has from now on. @param now in ms since the epoch */
    setDeployed(ids: readonly string[], now: number): void {
      sql.exec("UPDATE deployed SET left_on = ? WHERE left_on IS NULL", now);
      for (const id of ids) sql.exec("INSERT OR REPLACE INTO deployed VALUES (?, NULL)", id);
    },
    /** The newest versions with assets that have been deployed. */
    deployedWithAssets(limit: number): Deployed[] {
      return sql
        .exec<{ version_id: string; number: number; assets: string; left_on: number | null }>(
          `SELECT deployed.version_id, number, assets, left_on FROM deployed
           JOIN version ON version.id = deployed.version_id
           JOIN version_detail AS detail ON detail.version_id = version.id
           WHERE assets IS NOT NULL ORDER BY left_on IS NULL DESC, number DESC LIMIT ?`,
          limit,
        )
        .toArray()
        .map(({ assets, ...row }) => ({ ...row, set: (JSON.parse(assets) as AssetsOfVersion).set }));
    },

    assetFolder(): string | undefined {
      return first<{ folder: string }>("SELECT folder FROM asset_folder")?.folder;
    },
    setAssetFolder(folder: string): void {
      sql.exec("INSERT INTO asset_folder VALUES (1, ?)", folder);
    },
    addAsset(key: string): void {
      sql.exec("INSERT OR IGNORE INTO asset VALUES (?)", key);
    },
    /** KV keys of all files and sets. */
    assetKeys(): string[] {
      return sql
        .exec<{ key: string }>("SELECT key FROM asset")
        .toArray()
        .map(({ key }) => key);
    },
    /** @param expires in seconds since the epoch */
    openSession(id: string, manifest: Manifest, expires: number): void {
      sql.exec("INSERT INTO asset_session VALUES (?, ?)", id, expires);
      for (const [path, [hash, size]] of Object.entries(manifest)) {
        sql.exec("INSERT INTO announced_file VALUES (?, ?, ?, ?)", id, path, hash, size);
      }
    },
    /** In seconds since the epoch; undefined where there is no such session. */
    sessionEnd(id: string): number | undefined {
      return first<{ expires: number }>("SELECT expires FROM asset_session WHERE id = ?", id)?.expires;
    },
    /** Hashes of announced files that are not in KV. @param folder that their keys begin with */
    missingFiles(session: string, folder: string): string[] {
      return sql
        .exec<{ hash: string }>(
          `SELECT hash FROM announced_file LEFT JOIN asset ON key = ? || hash
           WHERE session = ? AND key IS NULL GROUP BY hash ORDER BY min(announced_file.rowid)`,
          folder,
          session,
        )
        .toArray()
        .map(({ hash }) => hash);
    },
    /** Those of the hashes that were announced, with their sizes. */
    announcedSizes(session: string, hashes: readonly string[]): Record<string, number> {
      const rows = sql.exec<{ hash: string; size: number }>(
        "SELECT hash, size FROM announced_file WHERE session = ? AND hash IN (SELECT value FROM json_each(?))",
        session,
        JSON.stringify(hashes),
      );
      return Object.fromEntries(rows.toArray().map(({ hash, size }) => [hash, size]));
    },
    manifestOf(session: string): Manifest {
      const rows = sql.exec<{ path: string; hash: string; size: number }>(
        "SELECT path, hash, size FROM announced_file WHERE session = ?",
        session,
      );
      return Object.fromEntries(rows.toArray().map(({ path, hash, size }) => [path, [hash, size] as const]));
    },
    /** @param now in seconds since the epoch */
    closeSessions(now: number): void {
      sql.exec("DELETE FROM asset_session WHERE expires < ?", now);
      sql.exec("DELETE FROM announced_file WHERE session NOT IN (SELECT id FROM asset_session)");
    },

    /** To be called with what else has to change: KV gets it after the commit. */
    writeLater(key: string, value: string): void {
      sql.exec("INSERT OR REPLACE INTO kv_write VALUES (?, ?)", key, value);
    },
    writesLeft(): { readonly key: string; readonly value: string }[] {
      return sql.exec<{ key: string; value: string }>("SELECT * FROM kv_write").toArray();
    },
    /** Forgets a write that was made, unless there is another one for the key by now. */
    written(key: string, value: string): void {
      sql.exec("DELETE FROM kv_write WHERE key = ? AND value = ?", key, value);
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
    /** Newest first. */
    deploymentPage(limit: number, offset: number): Deployment[] {
      return sql
        .exec<DeploymentRow>("SELECT * FROM deployment ORDER BY seq DESC LIMIT ? OFFSET ?", limit, offset)
        .toArray()
        .map(toDeployment);
    },
    deploymentCount(): number {
      return first<{ n: number }>("SELECT count(*) AS n FROM deployment")?.n ?? 0;
    },
    deployment(id: string): Deployment | undefined {
      const found = first<DeploymentRow>("SELECT * FROM deployment WHERE id = ?", id);
      return found && toDeployment(found);
    },
    activeDeployment(): Deployment | undefined {
      const found = first<DeploymentRow>("SELECT * FROM deployment ORDER BY seq DESC LIMIT 1");
      return found && toDeployment(found);
    },

    /** @param time in ms since the epoch */
    addAudit(time: number, { author, source, action, detail }: Omit<AuditEntry, "seq" | "time">): void {
      sql.exec(
        "INSERT INTO audit (time, author, source, action, detail) VALUES (?, ?, ?, ?, ?)",
        time,
        JSON.stringify(author),
        source,
        action,
        JSON.stringify(detail),
      );
    },
    /** Newest first. */
    audit(limit: number, offset: number): AuditEntry[] {
      return sql
        .exec<AuditRow>("SELECT * FROM audit ORDER BY seq DESC LIMIT ? OFFSET ?", limit, offset)
        .toArray()
        .map((found) => ({
          ...found,
          time: new Date(found.time).toISOString(),
          author: JSON.parse(found.author),
          detail: JSON.parse(found.detail),
        }));
    },
    auditCount(): number {
      return first<{ n: number }>("SELECT count(*) AS n FROM audit")?.n ?? 0;
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
    assets: row.assets === null ? null : (JSON.parse(row.assets) as AssetsOfVersion),
    alias: row.alias,
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
