/** The tables of the index, on Node's SQLite. */
import { beforeEach, describe, expect, test } from "vitest";
import { Garbage } from "../../../src/storage/r2/garbage.ts";
import { KEPT, R2_LIMITS } from "../../../src/storage/r2/limits.ts";
import { Objects } from "../../../src/storage/r2/objects.ts";
import { Reads } from "../../../src/storage/r2/reads.ts";
import { Uploads } from "../../../src/storage/r2/uploads.ts";
import { openSqlite } from "../../support/sqlite.ts";

const LATER = KEPT.graceMs + KEPT.reservedMs;
const NOBODY = () => false;
let garbage: Garbage;
let objects: Objects;
let uploads: Uploads;

beforeEach(() => {
  const sql = openSqlite();
  garbage = new Garbage(sql);
  objects = new Objects(sql, garbage);
  uploads = new Uploads(sql, objects);
});

const object = (key: string, version: string, size = 10) => ({
  ...{ key, version, size, etag: "e", uploaded: 1, checksums: {}, http: {}, custom: {}, storageClass: "" },
});

function reserve(file: string, content: string, process = "now") {
  garbage.reserve(file, content, { process, now: 0 });
}

function put(key: string, version: string, files: readonly string[], now = 0): boolean {
  for (const file of files) reserve(file, version);
  const added = objects.addContent(
    version,
    files.map((file) => ({ size: 10, file })),
  );
  if (added) objects.set(object(key, version, files.length * 10), now);
  return added;
}

describe("a file", () => {
  test("of an object is never deleted", () => {
    put("k", "v", ["f", "g"]);
    expect(garbage.due()).toBeUndefined();
    expect(garbage.mark(LATER, NOBODY)).toEqual([]);
  });

  test("of a replaced or deleted object is deleted after the grace period", () => {
    put("k", "v1", ["f"]);
    put("k", "v2", ["g"], 5);
    expect(garbage.mark(5 + KEPT.graceMs - 1, NOBODY)).toEqual([]);
    expect(garbage.mark(5 + KEPT.graceMs, NOBODY)).toEqual(["f"]);
    garbage.forget("f");
    objects.remove("k", 10);
    expect(garbage.mark(10 + KEPT.graceMs, NOBODY)).toEqual(["g"]);
  });

  test("is kept while its content is read", () => {
    put("k", "v", ["f"]);
    objects.remove("k", 0);
    expect(garbage.mark(KEPT.graceMs, (content) => content === "v")).toEqual([]);
    expect(garbage.mark(3 * KEPT.graceMs, NOBODY)).toEqual(["f"]);
  });

  test("of a put that failed is deleted at once", () => {
    reserve("f", "v");
    garbage.abandon("v", 7);
    expect(garbage.mark(7, NOBODY)).toEqual(["f"]);
  });

  test("of a put that succeeded after all is not deleted when that is abandoned", () => {
    put("k", "v", ["f"]);
    garbage.abandon("v", 7);
    expect(garbage.mark(LATER, NOBODY)).toEqual([]);
  });

  test("of a put whose process ended is deleted after the grace period, that of a running one is not", () => {
    reserve("f", "v", "before");
    reserve("g", "w", "now");
    garbage.takeOver("now", 0);
    expect(garbage.mark(KEPT.graceMs, NOBODY)).toEqual(["f"]);
  });

  test("that is being deleted cannot become an object's", () => {
    reserve("f", "v");
    garbage.mark(KEPT.reservedMs, NOBODY);
    expect(objects.addContent("v", [{ size: 10, file: "f" }])).toBe(false);
    expect(objects.slices("v", { offset: 0, length: 10 })).toEqual([]);
  });

  test("that could not be deleted is tried again", () => {
    reserve("f", "v");
    garbage.abandon("v", 0);
    garbage.mark(0, NOBODY);
    garbage.postpone("f", 0);
    expect(garbage.mark(KEPT.graceMs, NOBODY)).toEqual(["f"]);
  });
});

describe("a range", () => {
  test("needs only the chunks that it touches", () => {
    put("k", "v", ["a", "b", "c", "d"]);
    const files = (offset: number, length: number) =>
      objects
        .slices("v", { offset, length })
        .map(({ chunk, ...range }) => [(chunk as { file: string }).file, range.offset, range.length]);
    expect(files(15, 10)).toEqual([
      ["b", 5, 5],
      ["c", 0, 5],
    ]);
    expect(files(20, 10)).toEqual([["c", 0, 10]]);
    expect(files(39, 1)).toEqual([["d", 9, 1]]);
  });
});

describe("an upload in parts", () => {
  const UPLOAD = { id: "u", key: "k" };

  function addPart(number: number, size: number) {
    const content = `part-${number}`;
    reserve(`file-${number}`, content);
    const chunks = [{ size, file: `file-${number}` }];
    const part = { number, content, size, md5: `${number}`.repeat(32) };
    return uploads.addPart(UPLOAD, part, { chunks, now: 0 });
  }

  beforeEach(() => {
    uploads.create("u", { key: "k", http: {}, custom: { a: "1" }, storageClass: "" }, 0);
  });

  test("becomes an object of its parts' files; files of other parts are deleted", () => {
    for (const number of [1, 2, 3]) addPart(number, R2_LIMITS.partBytesMin);
    const selected = [1, 3].map((part) => ({ part, etag: `${part}`.repeat(32) }));
    const done = uploads.complete(UPLOAD, selected, { version: "v", now: 0 });
    expect(done).toMatchObject({ ok: true, value: { size: 2 * R2_LIMITS.partBytesMin, custom: { a: "1" } } });
    expect(objects.find("k")?.version).toBe("v");
    const slices = objects.slices("v", { offset: R2_LIMITS.partBytesMin - 1, length: 2 });
    expect(slices.map(({ chunk }) => chunk)).toMatchObject([{ file: "file-1" }, { file: "file-3" }]);
    expect(garbage.mark(LATER, NOBODY)).toEqual(["file-2"]);
  });

  test("drops a part that is uploaded again", () => {
    addPart(1, 5);
    reserve("again", "part-1b");
    const part = { number: 1, content: "part-1b", size: 6, md5: "b".repeat(32) };
    uploads.addPart(UPLOAD, part, { chunks: [{ size: 6, file: "again" }], now: 0 });
    expect(garbage.mark(LATER, NOBODY)).toEqual(["file-1"]);
  });

  test("takes no parts once it is aborted, nor under another key", () => {
    expect(
      uploads.addPart(
        { id: "u", key: "x" },
        { number: 1, content: "c", size: 0, md5: "" },
        { chunks: [], now: 0 },
      ),
    ).toBe("noSuchUpload");
    expect(uploads.abort(UPLOAD, 0)).toBeUndefined();
    expect(addPart(1, 5)).toBe("noSuchUpload");
    expect(uploads.abort(UPLOAD, 0)).toBeUndefined();
    expect(uploads.abort({ id: "other", key: "k" }, 0)).toBe("internal");
  });

  test("is forgotten with its files a week after it began", () => {
    addPart(1, 5);
    expect(uploads.due()).toBe(R2_LIMITS.uploadMs);
    uploads.expire(R2_LIMITS.uploadMs - 1);
    expect(uploads.due()).toBe(R2_LIMITS.uploadMs);
    uploads.expire(R2_LIMITS.uploadMs);
    expect(uploads.due()).toBeUndefined();
    expect(garbage.mark(R2_LIMITS.uploadMs + KEPT.graceMs, NOBODY)).toEqual(["file-1"]);
  });
});

describe("a read", () => {
  test("is under way until it ends, or has opened nothing for ten minutes", () => {
    const reads = new Reads();
    const first = reads.begin("v", 0);
    const second = reads.begin("v", 0);
    reads.end(first);
    expect(reads.isUnderWay("v", 0)).toBe(true);
    expect(reads.isUnderWay("w", 0)).toBe(false);
    second.at = 5;
    expect(reads.isUnderWay("v", 5 + KEPT.readMs)).toBe(true);
    expect(reads.isUnderWay("v", 6 + KEPT.readMs)).toBe(false);
  });
});
