import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareKeys, justAfter, pastPrefix } from "../../../src/storage/r2/keys.ts";
import {
  decodeCursor,
  encodeCursor,
  type ListOptions,
  listPage,
  pageLimit,
  type ReadRows,
} from "../../../src/storage/r2/listing.ts";

/** Texts in which prefixes, delimiters and odd characters meet often. */
const text = fc.string({
  unit: fc.constantFrom("a", "b", "/", "\0", "é", "\ud7ff", "\ue000", "\uffff", "😀", "\u{10ffff}"),
  maxLength: 5,
});

function rowsOf(keys: readonly string[]): ReadRows<{ key: string }> {
  const rows = [...new Set(keys)].sort(compareKeys).map((key) => ({ key }));
  return (from, until, limit) =>
    rows
      .filter(({ key }) => compareKeys(key, from) >= 0)
      .filter(({ key }) => until === undefined || compareKeys(key, until) < 0)
      .slice(0, limit);
}

/** Every entry of every page, folders with their delimiter. */
function walk(keys: readonly string[], options: Omit<ListOptions, "cursor">): string[][] {
  const read = rowsOf(keys);
  const pages: string[][] = [];
  let cursor: string | undefined;
  do {
    const page = listPage({ ...options, cursor }, read);
    pages.push([...page.rows.map(({ key }) => key), ...page.prefixes]);
    ({ cursor } = page);
  } while (cursor !== undefined);
  return pages;
}

const ALL = { prefix: "", delimiter: "", limit: 1000 };

describe("keys", () => {
  test("are in the order of their UTF-8 forms", () => {
    expect(["😀", "\uffff", "b", "a\0", "a"].sort(compareKeys)).toEqual(["a", "a\0", "b", "\uffff", "😀"]);
  });

  test("with a prefix are exactly those from the prefix up to its bound", () => {
    fc.assert(
      fc.property(text, text, (prefix, key) => {
        const bound = pastPrefix(prefix);
        const inside = compareKeys(key, prefix) >= 0 && (bound === undefined || compareKeys(key, bound) < 0);
        expect(inside).toBe(key.startsWith(prefix));
      }),
    );
  });

  test("have nothing between a key and the one just after it", () => {
    fc.assert(
      fc.property(text, text, (key, other) => {
        expect(compareKeys(other, key) > 0).toBe(compareKeys(other, justAfter(key)) >= 0);
      }),
    );
  });
});

describe("a list", () => {
  test("shows what follows a delimiter as one folder", () => {
    const keys = ["dir/a", "dir/b", "dir/sub/c", "other", "x/y"];
    expect(walk(keys, { ...ALL, delimiter: "/" })).toEqual([["other", "dir/", "x/"]]);
    expect(walk(keys, { ...ALL, prefix: "dir/", delimiter: "/" })).toEqual([["dir/a", "dir/b", "dir/sub/"]]);
  });

  test("gives a folder once, on whichever page it comes", () => {
    const keys = Array.from({ length: 500 }, (_, i) => `dir/${i}`);
    expect(walk([...keys, "e", "d"], { ...ALL, delimiter: "/", limit: 1 })).toEqual([["d"], ["dir/"], ["e"]]);
  });

  test("reads at most a portion of a folder", () => {
    const read = rowsOf(Array.from({ length: 5000 }, (_, i) => `dir/${i}`).concat("z"));
    let seen = 0;
    const page = listPage({ ...ALL, delimiter: "/" }, (...args) => {
      const rows = read(...args);
      seen += rows.length;
      return rows;
    });
    expect(page.prefixes).toEqual(["dir/"]);
    expect(page.rows).toEqual([{ key: "z" }]);
    expect(seen).toBeLessThan(200);
  });

  test("is truncated only if something follows", () => {
    const read = rowsOf(["a", "b"]);
    expect(listPage({ ...ALL, limit: 2 }, read).cursor).toBeUndefined();
    expect(listPage({ ...ALL, limit: 1 }, read).cursor).toEqual(expect.any(String));
  });

  test("gives the same entries in pages of any size, and those of a filter that reads everything", () => {
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 20 }),
        fc.record({
          prefix: text,
          delimiter: fc.constantFrom("", "/", "a/", "é"),
          limit: fc.integer({ min: 1, max: 5 }),
        }),
        fc.option(text, { nil: undefined }),
        (keys, options, startAfter) => {
          const { prefix, delimiter, limit } = options;
          const expected = new Set<string>();
          for (const key of [...keys].sort(compareKeys)) {
            if (!key.startsWith(prefix)) continue;
            if (startAfter !== undefined && compareKeys(key, startAfter) <= 0) continue;
            const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
            expected.add(at === -1 ? key : `folder ${key.slice(0, at + delimiter.length)}`);
          }
          const read = rowsOf(keys);
          const got: string[] = [];
          let cursor: string | undefined;
          do {
            const page = listPage({ ...options, startAfter, cursor }, read);
            const entries = page.rows.length + page.prefixes.length;
            expect(entries).toBeLessThanOrEqual(limit);
            if (page.cursor !== undefined) expect(entries).toBe(limit);
            got.push(...page.rows.map(({ key }) => key), ...page.prefixes.map((each) => `folder ${each}`));
            ({ cursor } = page);
          } while (cursor !== undefined);
          expect(got.sort()).toEqual([...expected].sort());
        },
      ),
    );
  });
});

describe("a cursor", () => {
  test("carries any key", () => {
    fc.assert(
      fc.property(text, (key) => {
        expect(decodeCursor(encodeCursor(key))).toBe(key);
      }),
    );
  });

  test("that no list made is known as such", () => {
    expect(decodeCursor("not base64!")).toBeUndefined();
    expect(decodeCursor(btoa("\xff"))).toBeUndefined();
  });
});

test.each([
  [undefined, [], 1000],
  [1000, [], 1000],
  [5, [0], 5],
  [1000, [1], 100],
  [0, [], undefined],
  [1001, [], undefined],
])("a page of %s that includes %j has the limit %s", (asked, include, expected) => {
  expect(pageLimit(asked, include)).toBe(expected);
});
