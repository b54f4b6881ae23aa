import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rangeOf, slicesOf } from "../../../src/storage/r2/ranges.ts";

const ok = (offset: number, length: number) => ({ ok: true, value: { offset, length } });
const INVALID = { ok: false, error: "invalidRange" };

describe("a range of ten bytes", () => {
  test.each([
    [undefined, ok(0, 10)],
    [{}, ok(0, 10)],
    [{ offset: 2 }, ok(2, 8)],
    [{ offset: 2, length: 3 }, ok(2, 3)],
    [{ length: 3 }, ok(0, 3)],
    [{ offset: 9, length: 100 }, ok(9, 1)],
    [{ offset: 10 }, INVALID],
    [{ offset: 10, length: 1 }, INVALID],
    [{ offset: 0, length: 0 }, INVALID],
    [{ suffix: 3 }, ok(7, 3)],
    [{ suffix: 100 }, ok(0, 10)],
    [{ suffix: 0 }, INVALID],
  ])("%j is %j", (range, expected) => {
    expect(rangeOf({ range }, 10)).toEqual(expected);
  });

  test.each([
    ["bytes=0-", ok(0, 10)],
    ["bytes=2-4", ok(2, 3)],
    [" Bytes = 2 - 4 ", ok(2, 3)],
    ["bytes=2-100", ok(2, 8)],
    ["bytes=-3", ok(7, 3)],
    ["bytes=-100", ok(0, 10)],
    ["bytes=-0", ok(0, 10)],
    ["bytes=-", ok(0, 10)],
    ["bytes=", ok(0, 10)],
    ["bytes=10-", ok(0, 10)],
    ["bytes=5-2", ok(0, 10)],
    ["bytes=1-2,4-5", ok(0, 10)],
    ["lines=1-2", ok(0, 10)],
  ])("as the header %j is %j", (rangeHeader, expected) => {
    expect(rangeOf({ rangeHeader }, 10)).toEqual(expected);
  });

  test("cannot be satisfied where there are no bytes", () => {
    expect(rangeOf({}, 0)).toEqual(ok(0, 0));
    expect(rangeOf({ range: { offset: 0 } }, 0)).toEqual(INVALID);
    expect(rangeOf({ rangeHeader: "bytes=0-" }, 0)).toEqual(ok(0, 0));
  });
});

test("slices give the bytes of their range, whatever the chunks", () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 5 }), { maxLength: 8 });
  fc.assert(
    fc.property(chunks, fc.nat(40), fc.nat(40), (contents, offset, length) => {
      const stored = contents.map((bytes) => ({ size: bytes.length, bytes: bytes.slice().buffer }));
      const slices = slicesOf(stored, { offset, length }, 0);
      const got = slices.flatMap(({ chunk, ...range }) =>
        "bytes" in chunk ? [...new Uint8Array(chunk.bytes, range.offset, range.length)] : [],
      );
      expect(got).toEqual(contents.flatMap((bytes) => [...bytes]).slice(offset, offset + length));
    }),
  );
});
