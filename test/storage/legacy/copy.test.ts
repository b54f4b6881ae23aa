import { describe, expect, test } from "vitest";
import { copyAll, expirationOf } from "../../../src/storage/legacy/copy.ts";
import { entriesAfter, objectsAfter, unfinishedUploads } from "../../../src/storage/legacy/tables.ts";
import { openSqlite } from "../../support/sqlite.ts";

const NOW = 1_700_000_000_000;

describe("an expiration", () => {
  test.each([
    ["none", null, undefined],
    ["one that has passed", NOW, "expired"],
    ["one in the future", NOW + 3_600_000, NOW / 1000 + 3600],
    ["one in a second, which KV refuses", NOW + 1000, NOW / 1000 + 65],
  ])("is kept: %s", (_, expiration, expected) => {
    expect(expirationOf(expiration, NOW)).toBe(expected);
  });
});

describe("a copy", () => {
  const items = Array.from({ length: 450 }, (_, i) => ({ key: String(i).padStart(3, "0") }));
  const readAfter = async (after: string | null, limit: number) =>
    items.filter(({ key }) => after === null || key > after).slice(0, limit);

  test("takes everything once", async () => {
    const seen: string[] = [];
    const outcome = await copyAll(readAfter, async ({ key }) => {
      seen.push(key);
      return key === "000" ? "skipped" : "copied";
    });
    expect(outcome).toEqual({ copied: 449, skipped: 1, failures: [] });
    expect(seen.sort()).toEqual(items.map(({ key }) => key));
  });

  test("goes on after a failure, and names it", async () => {
    const outcome = await copyAll(readAfter, async ({ key }) => {
      if (key === "007") throw new Error("no file");
      return "copied";
    });
    expect(outcome).toEqual({ copied: 449, skipped: 0, failures: ["007: no file"] });
  });
});

describe("the tables of release 0.1", () => {
  test("that are not there hold nothing", () => {
    const sql = openSqlite();
    expect([entriesAfter(sql, null, 5), objectsAfter(sql, null, 5), unfinishedUploads(sql)]).toEqual([
      [],
      [],
      0,
    ]);
  });

  test("give objects with their files, those of parts in order", () => {
    const sql = openSqlite();
    sql.exec(`CREATE TABLE _mf_objects (key TEXT PRIMARY KEY, blob_id TEXT, version TEXT, size INTEGER, etag TEXT,
        uploaded INTEGER, checksums TEXT, http_metadata TEXT, custom_metadata TEXT);
      CREATE TABLE _mf_multipart_parts (upload_id TEXT, part_number INTEGER, blob_id TEXT, size INTEGER, etag TEXT,
        checksum_md5 TEXT, object_key TEXT);
      INSERT INTO _mf_objects VALUES ('a', 'blob-a', 'v1', 3, 'md5-a', 7, '{"sha1":"s"}', '{"contentType":"t"}', '{"x":"y"}');
      INSERT INTO _mf_objects VALUES ('b', NULL, 'v2', 5, 'md5-2', 8, '{}', '{}', '{}');
      INSERT INTO _mf_multipart_parts VALUES ('u', 10, 'blob-10', 2, 'e', 'm10', 'b');
      INSERT INTO _mf_multipart_parts VALUES ('u', 9, 'blob-9', 3, 'e', 'm9', 'b');
      INSERT INTO _mf_multipart_parts VALUES ('w', 1, 'blob-w', 3, 'e', 'mw', NULL);`);
    const a = {
      ...{ key: "a", version: "v1", size: 3, etag: "md5-a", uploaded: 7 },
      ...{ checksums: { md5: "md5-a", sha1: "s" }, http: { contentType: "t" }, custom: { x: "y" } },
      blobs: [{ blob: "blob-a", size: 3, md5: "md5-a" }],
    };
    const b = {
      ...{ key: "b", version: "v2", size: 5, etag: "md5-2", uploaded: 8 },
      ...{ checksums: {}, http: {}, custom: {} },
      blobs: [
        { blob: "blob-9", size: 3, md5: "m9" },
        { blob: "blob-10", size: 2, md5: "m10" },
      ],
    };
    expect(objectsAfter(sql, null, 5)).toEqual([a, b]);
    expect(objectsAfter(sql, "a", 5)).toEqual([b]);
  });
});
