import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { forwarding } from "../../src/runtime/forward.ts";
import { readError, writeError } from "../../src/runtime/thrown.ts";

describe("an exception that goes from one process to another", () => {
  test("keeps its message, whatever is in it, in characters that a header takes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (message) => {
        const text = writeError(new TypeError(message));
        expect(text).toMatch(/^[\x21-\x7e]*$/);
        expect(readError(text)).toEqual(new TypeError(message));
      }),
    );
  });

  test("keeps its class if it is one of JavaScript's own, and is an Error otherwise", () => {
    class Custom extends Error {
      override readonly name = "constructor";
    }
    expect(readError(writeError(new RangeError("far")))).toBeInstanceOf(RangeError);
    expect(readError(writeError(new Custom("own")))).toEqual(new Error("own"));
  });

  test("can be a value that is no Error", () => {
    expect(readError(writeError("text"))).toEqual(new Error("text"));
  });
});

describe("an object that forwards", () => {
  class Target {
    #secret = "own";
    own() {
      return this.#secret;
    }
  }

  test("keeps its own methods, private fields included, and forwards all others", () => {
    const call = vi.fn((method: string) => () => method);
    const forwarded = forwarding(new Target(), call) as Target & { other(): string };
    expect(forwarded.own()).toBe("own");
    expect(call).not.toHaveBeenCalled();
    expect(forwarded.other()).toBe("other");
  });

  test("never forwards a symbol", () => {
    const call = vi.fn();
    expect(Reflect.get(forwarding(new Target(), call), Symbol.iterator)).toBeUndefined();
    expect(call).not.toHaveBeenCalled();
  });
});
