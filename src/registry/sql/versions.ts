/** The Worker's versions. A stored version never changes. */
import type { Binding } from "../../versions/binding-types.ts";
import type { AssetsOfVersion, Inspection, Source, Version } from "../../versions/types.ts";
import { first } from "./first.ts";

const SCHEMA = `
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
CREATE TABLE IF NOT EXISTS version_detail (
  version_id TEXT PRIMARY KEY,
  assets TEXT,                           -- JSON object; NULL where it has none
  alias TEXT                             -- name to preview it under, as it was uploaded
);
`;

/** Adds the columns of `version_detail`, a table that came with a later release. */
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

export class VersionTable {
  readonly #sql: SqlStorage;

  /** Creates the tables where they are missing. */
  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  nextNumber(): number {
    return (
      first<{ n: number }>(this.#sql, "SELECT coalesce(max(number), 0) + 1 AS n FROM version") as {
        n: number;
      }
    ).n;
  }

  insert(version: Version): void {
    this.#sql.exec(
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
    this.#sql.exec("INSERT INTO version_detail VALUES (?, ?, ?)", version.id, assets, version.alias);
  }

  get(id: string): Version | undefined {
    const found = first<VersionRow>(this.#sql, `${VERSIONS} WHERE id = ?`, id);
    return found && toVersion(found);
  }

  /** Newest first. @param offset number of the newest to skip */
  list(limit: number, offset = 0): Version[] {
    return this.#sql
      .exec<VersionRow>(`${VERSIONS} ORDER BY number DESC LIMIT ? OFFSET ?`, limit, offset)
      .toArray()
      .map(toVersion);
  }

  count(): number {
    return first<{ n: number }>(this.#sql, "SELECT count(*) AS n FROM version")?.n ?? 0;
  }

  latest(): Version | undefined {
    return this.list(1)[0];
  }

  ids(): string[] {
    return this.#sql
      .exec<{ id: string }>("SELECT id FROM version")
      .toArray()
      .map(({ id }) => id);
  }

  /** The preview aliases that versions were uploaded with. */
  aliases(): string[] {
    return this.#sql
      .exec<{ alias: string }>("SELECT DISTINCT alias FROM version_detail WHERE alias IS NOT NULL")
      .toArray()
      .map(({ alias }) => alias);
  }

  clear(): void {
    this.#sql.exec("DELETE FROM version");
    this.#sql.exec("DELETE FROM version_detail");
  }
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
