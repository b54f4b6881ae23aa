import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { multipartEtag, selectParts } from "../../../src/storage/r2/multipart.ts";

const MIN = 5 * 1024 * 1024;
const md5 = (text: string) => createHash("md5").update(text).digest("hex");
const part = (number: number, size = MIN) => ({ number, size, md5: md5(String(number)) });
const chosen = (...numbers: number[]) =>
  numbers.map((number) => ({ part: number, etag: md5(String(number)) }));
const numbers = (...args: Parameters<typeof selectParts>) => {
  const parts = selectParts(...args);
  return parts.ok ? parts.value.map(({ number }) => number) : parts.error;
};

describe("an upload is completed", () => {
  test("with its parts in the order of their numbers", () => {
    expect(numbers([part(1), part(3), part(7)], chosen(7, 1, 3))).toEqual([1, 3, 7]);
  });

  test("without the parts that are not selected", () => {
    expect(numbers([part(1), part(2), part(3, 5)], chosen(1, 3))).toEqual([1, 3]);
  });

  test("with one part of any size, or none", () => {
    expect(numbers([part(1, 1)], chosen(1))).toEqual([1]);
    expect(numbers([], [])).toEqual([]);
  });
});

describe("an upload is not completed", () => {
  test.each([
    ["with a part that was not uploaded", [part(1)], chosen(1, 2), "invalidPart"],
    ["with another etag", [part(1)], [{ part: 1, etag: "x" }], "invalidPart"],
    ["with a part twice", [part(1)], chosen(1, 1), "internal"],
    ["with a part below 5 MiB before the last", [part(1, MIN - 1), part(2)], chosen(1, 2), "entityTooSmall"],
    ["with a short part named before the others", [part(1), part(2, 1)], chosen(2, 1), "entityTooSmall"],
    ["with unequal parts", [part(1), part(2, MIN + 1), part(3, 1)], chosen(1, 2, 3), "badUpload"],
    ["with a last part that is the largest", [part(1), part(2, MIN + 1)], chosen(1, 2), "badUpload"],
  ])("%s", (_, uploaded, selected, error) => {
    expect(numbers(uploaded, selected)).toBe(error);
  });
});

test("the etag is the digest of the parts' digests, and their number", () => {
  const digests = createHash("md5").update(md5("1"), "hex").update(md5("2"), "hex").digest("hex");
  expect(multipartEtag([part(1), part(2)])).toBe(`${digests}-2`);
});
