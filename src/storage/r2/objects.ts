/** The tables of objects and of the chunks of their contents. */
import type { Sql } from "../../lib/sqlite.ts";
import type { Garbage } from "./garbage.ts";
import type { ReadRows } from "./listing.ts";
import { slicesOf } from "./ranges.ts";
import type { Checksums, Chunk, HttpFields, Range, Slice, StoredObject } from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS object (
  key TEXT PRIMARY KEY,
  version TEXT NOT NULL,                 -- names its content
  size INTEGER NOT NULL,                 -- bytes
  etag TEXT NOT NULL,
  uploaded INTEGER NOT NULL,             -- ms since the epoch
  checksums TEXT NOT NULL,               -- JSON: hex by algorithm
  http TEXT NOT NULL,                    -- JSON: HTTP metadata
  custom TEXT NOT NULL,                  -- JSON: custom metadata
  storage_class TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS chunk (
  content TEXT NOT NULL,                 -- version of an object, or a part's content
  start INTEGER NOT NULL,                -- offset within the content
  size INTEGER NOT NULL,                 -- bytes
  file TEXT,                             -- name of the file; null if the bytes are here
  bytes BLOB,
  PRIMARY KEY (content, start)
);
`;

interface ObjectRow {
  readonly key: string;
  readonly version: string;
  readonly size: number;
  readonly etag: string;
  readonly uploaded: number;
  readonly checksums: string;
  readonly http: string;
  readonly custom: string;
  readonly storage_class: string;
}

interface ChunkRow {
  readonly start: number;
  readonly size: number;
  readonly file: string | null;
  readonly bytes: ArrayBuffer | null;
}

/** The caller makes each method that writes part of a transaction. */
export class Objects {
  readonly #sql: Sql;
  readonly #garbage: Garbage;

  /** Creates the tables where they are missing. */
  constructor(sql: Sql, garbage: Garbage) {
    this.#sql = sql;
    this.#garbage = garbage;
    sql.exec(SCHEMA);
  }

  find(key: string): StoredObject | undefined {
    const [row] = this.#sql.exec("SELECT * FROM object WHERE key = ?", key).toArray();
    return row && toObject(row as unknown as ObjectRow);
  }

  /** Names the object's content, whose chunks must be there, and retires that of the object it replaces. */
  set(object: StoredObject, now: number): void {
    this.remove(object.key, now);
    this.#sql.exec(
      "INSERT INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      object.key,
      object.version,
      object.size,
      object.etag,
      object.uploaded,
      JSON.stringify(object.checksums),
      JSON.stringify(object.http),
      JSON.stringify(object.custom),
      object.storageClass,
    );
  }

  remove(key: string, now: number): void {
    const removed = this.#sql.exec("DELETE FROM object WHERE key = ? RETURNING version", key).toArray();
    for (const { version } of removed) this.dropContent(version as string, now);
  }

  /** How many objects there are, and their bytes. */
  totals(): { objects: number; bytes: number } {
    const [row] = this.#sql
      .exec("SELECT count(*) AS objects, coalesce(sum(size), 0) AS bytes FROM object")
      .toArray();
    return row as { objects: number; bytes: number };
  }

  readonly rows: ReadRows<StoredObject> = (from, until, limit) => {
    const found =
      until === undefined
        ? this.#sql.exec("SELECT * FROM object WHERE key >= ? ORDER BY key LIMIT ?", from, limit)
        : this.#sql.exec(
            "SELECT * FROM object WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
            from,
            until,
            limit,
          );
    return (found.toArray() as unknown as ObjectRow[]).map(toObject);
  };

  /** False, with nothing changed, if a file is no longer reserved. */
  addContent(content: string, chunks: readonly Chunk[]): boolean {
    const files = chunks.flatMap((chunk) => ("file" in chunk ? [chunk.file] : []));
    if (!this.#garbage.areReserved(content, files)) return false;
    this.#garbage.claim(files);
    let start = 0;
    for (const chunk of chunks) {
      const [file, bytes] = "file" in chunk ? [chunk.file, null] : [null, chunk.bytes];
      this.#sql.exec("INSERT INTO chunk VALUES (?, ?, ?, ?, ?)", content, start, chunk.size, file, bytes);
      start += chunk.size;
    }
    return true;
  }

  /** Makes this content end with another one. @param at the size that it has so far */
  moveContent(from: string, to: string, at: number): void {
    this.#sql.exec("UPDATE chunk SET content = ?, start = start + ? WHERE content = ?", to, at, from);
  }

  /** A read that has begun still gets the files, and has the inline bytes already. */
  dropContent(content: string, now: number): void {
    const dropped = this.#sql.exec("DELETE FROM chunk WHERE content = ? RETURNING file", content).toArray();
    for (const { file } of dropped) {
      if (file !== null) this.#garbage.retire(file as string, content, now);
    }
  }

  /** What holds the bytes of a range. */
  slices(content: string, range: Range): Slice[] {
    const rows = this.#sql
      .exec(
        `SELECT start, size, file, bytes FROM chunk WHERE content = ?1 AND start < ?3
        AND start >= (SELECT coalesce(max(start), 0) FROM chunk WHERE content = ?1 AND start <= ?2)
        ORDER BY start`,
        content,
        range.offset,
        range.offset + range.length,
      )
      .toArray() as unknown as ChunkRow[];
    return slicesOf(rows.map(toChunk), range, rows[0]?.start ?? 0);
  }
}

function toChunk({ size, file, bytes }: ChunkRow): Chunk {
  return file === null ? { size, bytes: bytes ?? new ArrayBuffer(0) } : { size, file };
}

function toObject(row: ObjectRow): StoredObject {
  const { key, version, size, etag, uploaded } = row;
  return {
    ...{ key, version, size, etag, uploaded },
    checksums: JSON.parse(row.checksums) as Checksums,
    http: JSON.parse(row.http) as HttpFields,
    custom: JSON.parse(row.custom) as Record<string, string>,
    storageClass: row.storage_class,
  };
}
