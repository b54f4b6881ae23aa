/** Reads the tables of release 0.1. Changes nothing. */
import type { Sql } from "../../lib/sqlite.ts";
import type { OldBlob, OldEntry, OldObject } from "./types.ts";

/** @param after the last key of the page before; null for the first page */
export function entriesAfter(sql: Sql, after: string | null, limit: number): OldEntry[] {
  if (!has(sql, "_mf_entries")) return [];
  return sql
    .exec(
      `SELECT key, blob_id AS blob, expiration, metadata FROM _mf_entries
      WHERE ?1 IS NULL OR key > ?1 ORDER BY key LIMIT ?2`,
      after,
      limit,
    )
    .toArray() as unknown as OldEntry[];
}

/** @param after as for entries */
export function objectsAfter(sql: Sql, after: string | null, limit: number): OldObject[] {
  if (!has(sql, "_mf_objects")) return [];
  const rows = sql
    .exec("SELECT * FROM _mf_objects WHERE ?1 IS NULL OR key > ?1 ORDER BY key LIMIT ?2", after, limit)
    .toArray();
  return rows.map((row) => {
    const { key, version, size, etag, uploaded } = row as unknown as OldObject;
    const isWhole = row.blob_id !== null;
    const checksums = JSON.parse(row.checksums as string) as OldObject["checksums"];
    return {
      ...{ key, version, size, etag, uploaded },
      // The etag of an object that was put in one piece is its MD5.
      checksums: isWhole ? { md5: etag, ...checksums } : checksums,
      http: JSON.parse(row.http_metadata as string) as OldObject["http"],
      custom: JSON.parse(row.custom_metadata as string) as OldObject["custom"],
      blobs: isWhole ? [{ blob: row.blob_id as string, size, md5: etag }] : partsOf(sql, key),
    };
  });
}

/** How many uploads in parts have neither been completed nor aborted. */
export function unfinishedUploads(sql: Sql): number {
  if (!has(sql, "_mf_multipart_uploads")) return 0;
  const [row] = sql.exec("SELECT count(*) AS uploads FROM _mf_multipart_uploads WHERE state = 0").toArray();
  return row?.uploads as number;
}

function partsOf(sql: Sql, key: string): OldBlob[] {
  return sql
    .exec(
      `SELECT blob_id AS blob, size, checksum_md5 AS md5 FROM _mf_multipart_parts
      WHERE object_key = ? ORDER BY part_number`,
      key,
    )
    .toArray() as unknown as OldBlob[];
}

/** A namespace that was never used has no tables. */
function has(sql: Sql, table: string): boolean {
  return (
    sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?", table).toArray().length > 0
  );
}
