import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readKey, readOverride } from "../../src/router/signals.ts";

const OVERRIDES = "Cloudflare-Workers-Version-Overrides";
const KEY = "Cloudflare-Workers-Version-Key";
const ID = "dc8dcd28-271b-4367-9840-6c244f84cb40";

const override = (header: string, worker = "shop") =>
  readOverride(new Headers([[OVERRIDES, header]]), worker);

/** What may stand in a header at all: everything but the line ends and the null. */
const headerValue = fc.string({
  unit: fc
    .integer({ min: 0x01, max: 0xff })
    .filter((code) => code !== 0x0a && code !== 0x0d)
    .map((code) => String.fromCharCode(code)),
});
/** Header values that come far in the parser, because they are made of its own pieces. */
const almostDictionary = fc
  .array(
    fc.constantFrom(
      "shop",
      "=",
      '"',
      "\\",
      `"${ID}"`,
      ",",
      " ",
      ";",
      "a",
      "?1",
      "@",
      "(",
      ")",
      ":",
      '%"',
      "9",
    ),
  )
  .map((pieces) => pieces.join(""));

describe("the override header", () => {
  test("names a version for each of several Workers", () => {
    const header = `shop="${ID}", other-worker="x";a=1, cart="y"`;
    expect(override(header)).toBe(ID);
    expect(override(header, "other-worker")).toBe("x");
    expect(override(header, "cart")).toBe("y");
    expect(override(header, "missing")).toBeUndefined();
  });

  test("is read for every Worker whose name is a valid dictionary key", () => {
    const key = fc.stringMatching(/^[a-z][a-z0-9_-]{0,62}$/);
    fc.assert(
      fc.property(fc.dictionary(key, fc.uuid(), { noNullPrototype: true }), (versions) => {
        const header = Object.entries(versions)
          .map(([worker, id]) => `${worker}="${id}"`)
          .join(", ");
        return Object.entries(versions).every(([worker, id]) => override(header, worker) === id);
      }),
    );
  });

  test("may come in several lines", () => {
    const headers = new Headers();
    headers.append(OVERRIDES, 'cart="y"');
    headers.append(OVERRIDES, `shop="${ID}"`);
    expect(readOverride(headers, "shop")).toBe(ID);
    expect(readOverride(headers, "cart")).toBe("y");
  });

  test("uses the last value where it names a Worker twice", () => {
    expect(override(`shop="x", shop="${ID}"`)).toBe(ID);
    expect(override(`shop="${ID}", shop=1`)).toBeUndefined();
  });

  test("is read without its parameters and escapes", () => {
    expect(override(`shop="${ID}";force;why="x"`)).toBe(ID);
    expect(override('shop="a\\"b\\\\c"')).toBe('a"b\\c');
  });

  test("is ignored where its value is not a string, and never an error", () => {
    for (const header of [
      `shop=${ID}`,
      "shop=token",
      "shop=12",
      "shop=1.5",
      "shop",
      "shop=?1",
      'shop=("a")',
      "shop=:YQ==:",
      "shop=@1",
      'shop=%"a"',
    ]) {
      expect(override(header), header).toBeUndefined();
    }
  });

  test("is ignored as a whole where it does not parse", () => {
    for (const header of [
      `shop="${ID}`,
      `shop="${ID}",`,
      `shop="${ID}",,cart="y"`,
      "=",
      `shop="${ID}" junk`,
      `shop = "${ID}"`,
      '"shop"="x"',
      `Shop="${ID}"`,
      `shop="${ID}", Cart="y"`,
      `shop="é"`,
      "{}",
      "",
    ]) {
      expect(override(header), header).toBeUndefined();
    }
  });

  test("cannot make a request fail, whatever it says", () => {
    const anything = fc.oneof(headerValue, almostDictionary);
    fc.assert(
      fc.property(anything, headerValue, (header, worker) => {
        const [shop, other] = [override(header), override(header, worker)];
        return [shop, other].every((version) => version === undefined || typeof version === "string");
      }),
      { numRuns: 5_000 },
    );
  });

  test("does not reach into what objects inherit", () => {
    expect(override(`shop="${ID}"`, "constructor")).toBeUndefined();
    expect(override(`shop="${ID}"`, "__proto__")).toBeUndefined();
    expect(override(`constructor="${ID}"`, "constructor")).toBe(ID);
  });
});

describe("the request key", () => {
  test("is the key header's value, unchanged", () => {
    for (const key of ["user-1", "0", "a, b", '"quoted"', "é"]) {
      expect(readKey(new Headers({ [KEY]: key }), undefined, ""), key).toBe(key);
    }
  });

  test("is absent where the header is empty, blank or missing", () => {
    expect(readKey(new Headers({ [KEY]: "" }), undefined, "")).toBeUndefined();
    expect(readKey(new Headers({ [KEY]: " \t" }), undefined, "")).toBeUndefined();
    expect(readKey(new Headers(), undefined, "")).toBeUndefined();
  });

  test("is the client's address only where a trusted header is named, and only without a key", () => {
    const headers = new Headers({ "X-Real-IP": "192.0.2.1" });
    expect(readKey(headers, undefined, "")).toBeUndefined();
    expect(readKey(headers, undefined, "X-Real-IP")).toBe("192.0.2.1");
    expect(readKey(headers, undefined, "X-Forwarded-For")).toBeUndefined();
    headers.set(KEY, "");
    expect(readKey(headers, undefined, "X-Real-IP")).toBe("192.0.2.1");
    headers.set(KEY, "user-1");
    expect(readKey(headers, undefined, "X-Real-IP")).toBe("user-1");
    expect(readKey(new Headers({ "X-Real-IP": "" }), undefined, "X-Real-IP")).toBeUndefined();
  });

  test("is never empty and never an error, whatever the headers say", () => {
    fc.assert(
      fc.property(headerValue, headerValue, (key, address) => {
        const found = readKey(new Headers({ [KEY]: key, "X-Real-IP": address }), undefined, "X-Real-IP");
        return found === undefined || found.length > 0;
      }),
    );
  });
});
