import { describe, expect, test } from "vitest";
import { badDigest, encodeRefusal } from "../../../src/storage/r2/errors.ts";
import {
  checkDescribed,
  describedBy,
  encodeObject,
  expectedDigests,
  isKey,
  type MessageOf,
  parseMessage,
} from "../../../src/storage/r2/protocol.ts";

const OBJECT = {
  ...{ key: "k", version: "v", size: 3, etag: "e", uploaded: 5, storageClass: "" },
  ...{ http: { contentType: "a/b" }, custom: { a: "1" }, checksums: { md5: "00", sha256: "11" } },
};

describe("a message", () => {
  test("has its 64-bit integers as texts", () => {
    const sent = {
      version: 1,
      method: "get",
      object: "k",
      range: { offset: "2", length: "3" },
      onlyIf: { etagMatches: [{ value: "x", type: "strong" }], uploadedBefore: "5" },
    };
    expect(parseMessage(JSON.stringify(sent))).toEqual({
      method: "get",
      object: "k",
      range: { offset: 2, length: 3 },
      onlyIf: { etagMatches: [{ value: "x", type: "strong" }], uploadedBefore: 5 },
    });
  });

  test.each([
    "",
    "{",
    "null",
    '{"method":"destroy"}',
    '{"method":"put"}',
    '{"method":"put","object":"k","sha1":"x"}',
  ])("is not %j", (text) => {
    expect(parseMessage(text)).toBeUndefined();
  });

  test("of a put says what is stored and which digests are expected", () => {
    const put = parseMessage(
      JSON.stringify({
        method: "put",
        object: "k",
        customFields: [{ k: "a", v: "1" }],
        httpFields: { contentType: "a/b", cacheExpiry: "7" },
        md5: btoa("\x00\xff"),
        sha1: "AB",
        storageClass: "InfrequentAccess",
      }),
    ) as MessageOf<"put">;
    expect(describedBy(put)).toEqual({
      key: "k",
      http: { contentType: "a/b", cacheExpiry: 7 },
      custom: { a: "1" },
      storageClass: "InfrequentAccess",
    });
    expect(expectedDigests(put)).toEqual({ md5: "00ff", sha1: "ab" });
  });
});

test("an object is encoded with its checksums by number and its metadata as records", () => {
  expect(JSON.parse(JSON.stringify(encodeObject(OBJECT, { offset: 1, length: 2 })))).toEqual({
    ...{ name: "k", version: "v", size: 3, etag: "e", uploaded: 5, storageClass: "" },
    httpFields: { contentType: "a/b" },
    customFields: [{ k: "a", v: "1" }],
    checksums: { 0: "00", 2: "11" },
    range: { offset: 1, length: 2 },
  });
});

describe("the limits", () => {
  test("count the bytes of a key", () => {
    expect(isKey("x".repeat(1024))).toBe(true);
    expect(isKey("x".repeat(1025))).toBe(false);
    expect(isKey("é".repeat(513))).toBe(false);
  });

  test("count metadata beyond Latin-1 twice", () => {
    expect(checkDescribed({ ...OBJECT, custom: { a: "x".repeat(8191) } })).toBeUndefined();
    expect(checkDescribed({ ...OBJECT, custom: { a: "x".repeat(8192) } })).toBe("metadataTooLarge");
    expect(checkDescribed({ ...OBJECT, custom: { a: "ж".repeat(4095) } })).toBeUndefined();
    expect(checkDescribed({ ...OBJECT, custom: { a: "ж".repeat(4096) } })).toBe("metadataTooLarge");
  });
});

describe("a refusal", () => {
  test("carries R2's code and words", () => {
    const { status, header } = encodeRefusal({ name: "noSuchKey" });
    expect([status, JSON.parse(header)]).toEqual([
      404,
      { version: 1, v4code: 10007, message: "The specified key does not exist." },
    ]);
  });

  test("of a digest shows both", () => {
    expect(JSON.parse(encodeRefusal(badDigest("sha256", "00", "11")).header).message).toBe(
      "The SHA-256 checksum you specified did not match what we received.\n" +
        "You provided a SHA-256 checksum with value: 00\nActual SHA-256 was: 11",
    );
  });
});
