/** The tables of uploads in parts. */
import { err, ok, type Result } from "../../lib/result.ts";
import type { Sql } from "../../lib/sqlite.ts";
import type { R2ErrorName } from "./errors.ts";
import { R2_LIMITS } from "./limits.ts";
import { multipartEtag, selectParts, type UploadedPart } from "./multipart.ts";
import type { Objects } from "./objects.ts";
import type { Chunk, Described, HttpFields, StoredObject } from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS upload (
  id TEXT PRIMARY KEY,
  key TEXT NOT NULL,
  http TEXT NOT NULL,                    -- JSON, as are the object's
  custom TEXT NOT NULL,
  storage_class TEXT NOT NULL,
  started INTEGER NOT NULL,              -- ms since the epoch
  open INTEGER NOT NULL                  -- 0: completed or aborted
);
CREATE INDEX IF NOT EXISTS upload_by_time ON upload (started);
CREATE TABLE IF NOT EXISTS part (
  upload TEXT NOT NULL,
  number INTEGER NOT NULL,
  content TEXT NOT NULL,                 -- names its chunks
  size INTEGER NOT NULL,                 -- bytes
  md5 TEXT NOT NULL,                     -- hex; also its etag
  PRIMARY KEY (upload, number)
);
`;

interface Upload extends Described {
  readonly open: boolean;
}

interface StoredPart extends UploadedPart {
  readonly content: string;
}

/** The caller makes each method that writes part of a transaction. */
export class Uploads {
  readonly #sql: Sql;
  readonly #objects: Objects;

  /** Creates the tables where they are missing. */
  constructor(sql: Sql, objects: Objects) {
    this.#sql = sql;
    this.#objects = objects;
    sql.exec(SCHEMA);
  }

  create(id: string, { key, http, custom, storageClass }: Described, now: number): void {
    this.#sql.exec(
      "INSERT INTO upload VALUES (?, ?, ?, ?, ?, ?, 1)",
      id,
      key,
      JSON.stringify(http),
      JSON.stringify(custom),
      storageClass,
      now,
    );
  }

  /** A part with the number of an earlier one replaces that. */
  addPart(
    upload: { id: string; key: string },
    part: StoredPart,
    { chunks, now }: { chunks: readonly Chunk[]; now: number },
  ): R2ErrorName | undefined {
    if (this.#find(upload.id, upload.key)?.open !== true) return "noSuchUpload";
    if (!this.#objects.addContent(part.content, chunks)) return "internal";
    const replaced = this.#sql
      .exec("DELETE FROM part WHERE upload = ? AND number = ? RETURNING content", upload.id, part.number)
      .toArray();
    for (const { content } of replaced) this.#objects.dropContent(content as string, now);
    const { number, content, size, md5 } = part;
    this.#sql.exec("INSERT INTO part VALUES (?, ?, ?, ?, ?)", upload.id, number, content, size, md5);
    return undefined;
  }

  /** Makes the object of the selected parts; drops the others. */
  complete(
    upload: { id: string; key: string },
    selected: readonly { part: number; etag: string }[],
    { version, now }: { version: string; now: number },
  ): Result<StoredObject, R2ErrorName> {
    const found = this.#find(upload.id, upload.key);
    if (found === undefined) return err("internal");
    if (!found.open) return err("noSuchUpload");
    const all = this.#parts(upload.id);
    const chosen = selectParts(all, selected);
    if (!chosen.ok) return chosen;
    let size = 0;
    for (const part of chosen.value) {
      this.#objects.moveContent(part.content, version, size);
      size += part.size;
    }
    this.#close(upload.id, now);
    const { key, http, custom, storageClass } = found;
    const etag = multipartEtag(chosen.value);
    const object = { key, http, custom, storageClass, version, size, etag, uploaded: now, checksums: {} };
    this.#objects.set(object, now);
    return ok(object);
  }

  /** To abort what is completed or aborted changes nothing. */
  abort(upload: { id: string; key: string }, now: number): R2ErrorName | undefined {
    const found = this.#find(upload.id, upload.key);
    if (found === undefined) return "internal";
    if (found.open) this.#close(upload.id, now);
    return undefined;
  }

  /** Aborts and forgets uploads that began too long ago. */
  expire(now: number): void {
    const old = this.#sql
      .exec("SELECT id FROM upload WHERE started <= ?", now - R2_LIMITS.uploadMs)
      .toArray();
    for (const { id } of old) {
      this.#close(id as string, now);
      this.#sql.exec("DELETE FROM upload WHERE id = ?", id);
    }
  }

  /** When the next upload expires, in ms since the epoch. */
  due(): number | undefined {
    const [row] = this.#sql.exec("SELECT min(started) AS started FROM upload").toArray();
    const started = row?.started as number | null | undefined;
    return started == null ? undefined : started + R2_LIMITS.uploadMs;
  }

  /** Drops the contents of its parts; those of an object have moved away before. */
  #close(id: string, now: number): void {
    for (const { content } of this.#parts(id)) this.#objects.dropContent(content, now);
    this.#sql.exec("DELETE FROM part WHERE upload = ?", id);
    this.#sql.exec("UPDATE upload SET open = 0 WHERE id = ?", id);
  }

  #parts(id: string): StoredPart[] {
    return this.#sql
      .exec("SELECT number, content, size, md5 FROM part WHERE upload = ? ORDER BY number", id)
      .toArray() as unknown as StoredPart[];
  }

  #find(id: string, key: string): Upload | undefined {
    const [row] = this.#sql.exec("SELECT * FROM upload WHERE id = ? AND key = ?", id, key).toArray();
    if (row === undefined) return undefined;
    return {
      key,
      http: JSON.parse(row.http as string) as HttpFields,
      custom: JSON.parse(row.custom as string) as Record<string, string>,
      storageClass: row.storage_class as string,
      open: row.open === 1,
    };
  }
}
