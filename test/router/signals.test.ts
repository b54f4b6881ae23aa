import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readKey, readOverride } from "../../src/router/signals.ts";

const OVERRIDES = "Cloudflare-Workers-Version-Overrides";
const KEY = "Cloudflare-Workers-Version-Key";
const ID = "dc8dcd28-271b-4367-9840-6c244f84cb40";

const override = (header: string, worker = "shop") =>
  readOverride(new Headers([[OVERRIDES, header]]), worker);

/** What may stand in a header at all. */
const headerValue = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
});

describe("the override header", () => {
  test("names a version for each of several Workers", () => {
    const header = `shop="${ID}", other-worker="x";a=1, cart="y"`;
    expect(override(header)).toBe(ID);
    expect(override(header, "other-worker")).toBe("x");
    expect(override(header, "missing")).toBeUndefined();
  });

  test("may come in several lines", () => {
    const headers = new Headers();
    headers.append(OVERRIDES, 'cart="y"');
    headers.append(OVERRIDES, `shop="${ID}"`);
    expect(readOverride(headers, "shop")).toBe(ID);
  });

  test("is ignored where its value is not a string, and never an error", () => {
    for (const header of [
      `shop=${ID}`,
      "shop=token",
      "shop=12",
      "shop",
      "shop=?1",
      'shop=("a")',
      "shop=:YQ==:",
      "shop=@1",
    ]) {
      expect(override(header), header).toBeUndefined();
    }
  });

  test("is ignored as a whole where it does not parse", () => {
    for (const header of [
      `shop="${ID}`,
      `shop="${ID}",`,
      "=",
      `shop="${ID}" junk`,
      '"shop"="x"',
      `Shop="${ID}"`,
      "{}",
      "",
    ]) {
      expect(override(header), header).toBeUndefined();
    }
  });

  test("cannot make a request fail, whatever it says", () => {
    fc.assert(fc.property(headerValue, headerValue, (header, worker) => void override(header, worker)));
  });

  test("does not reach into what objects inherit", () => {
    expect(override(`shop="${ID}"`, "constructor")).toBeUndefined();
    expect(override(`shop="${ID}"`, "__proto__")).toBeUndefined();
  });
});

describe("the request key", () => {
  test("is the key header's value, as it is", () => {
    expect(readKey(new Headers({ [KEY]: "user-1" }), "")).toBe("user-1");
  });

  test("is none where the header is empty or absent", () => {
    expect(readKey(new Headers({ [KEY]: "" }), "")).toBeUndefined();
    expect(readKey(new Headers(), "")).toBeUndefined();
  });

  test("is the client's address only where a trusted header is named, and only without a key", () => {
    const headers = new Headers({ "X-Real-IP": "192.0.2.1" });
    expect(readKey(headers, "")).toBeUndefined();
    expect(readKey(headers, "X-Real-IP")).toBe("192.0.2.1");
    headers.set(KEY, "");
    expect(readKey(headers, "X-Real-IP")).toBe("192.0.2.1");
    headers.set(KEY, "user-1");
    expect(readKey(headers, "X-Real-IP")).toBe("user-1");
    expect(readKey(new Headers({ "X-Real-IP": "" }), "X-Real-IP")).toBeUndefined();
  });
});
