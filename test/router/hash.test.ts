import fc from "fast-check";
import { describe, expect, test } from "vitest";
import xxhash from "xxhash-wasm";
import { hashKey, prepareSeed } from "../../src/router/hash.ts";
import { uuid } from "./keys.ts";

const { h32 } = await xxhash();

/** Any sequence of UTF-16 units, lone surrogates included. */
const anyString = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
  maxLength: 80,
});
const asciiString = fc.string({ unit: "binary-ascii", maxLength: 1100 });
const aVersionId = fc.uuid();

describe("the hash of a key", () => {
  test("is XXH32 of seed and key for every ASCII key and version id", () => {
    fc.assert(
      fc.property(
        aVersionId,
        asciiString,
        (seed, key) => hashKey(prepareSeed(seed), key) === h32(seed + key),
      ),
      { numRuns: 2_000 },
    );
  });

  test("is XXH32 of seed and key for every Unicode key, lone surrogates included", () => {
    fc.assert(
      fc.property(aVersionId, anyString, (seed, key) => hashKey(prepareSeed(seed), key) === h32(seed + key)),
      { numRuns: 5_000 },
    );
  });

  test("is XXH32 of seed and key for every Unicode seed, where what the seed ends on and the key begins with do not combine", () => {
    // A high surrogate at the end of the seed and a low one at the start of the key would be one character together.
    const wholeCharacters = fc.string({ unit: "grapheme", maxLength: 40 });
    fc.assert(
      fc.property(wholeCharacters, fc.oneof(asciiString, anyString), (seed, key) => {
        return hashKey(prepareSeed(seed), key) === h32(seed + key);
      }),
      { numRuns: 3_000 },
    );
  });

  test("agrees at every length of key and seed around the block sizes and the limit of the fast path", () => {
    for (let seedLength = 0; seedLength <= 70; seedLength++) {
      const seed = "s".repeat(seedLength);
      const prepared = prepareSeed(seed);
      for (const length of [
        0, 1, 2, 3, 4, 5, 11, 12, 13, 15, 16, 17, 31, 32, 33, 64, 1023, 1024, 1025, 3000,
      ]) {
        const key = "k7".repeat(length).slice(0, length);
        expect(hashKey(prepared, key), `seed of ${seedLength}, key of ${length}`).toBe(h32(seed + key));
      }
    }
  });

  test("is an unsigned 32-bit integer", () => {
    fc.assert(
      fc.property(aVersionId, anyString, (seed, key) => {
        const hash = hashKey(prepareSeed(seed), key);
        return Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32;
      }),
    );
  });

  test("does not depend on what was hashed before it", () => {
    const seeds = [prepareSeed(uuid("a")), prepareSeed("short"), prepareSeed(uuid("b"))];
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2), fc.oneof(asciiString, anyString)), { maxLength: 20 }),
        (calls) => {
          for (const [which, key] of calls) {
            const seed = seeds[which];
            if (seed !== undefined && hashKey(seed, key) !== h32(seed.text + key)) return false;
          }
          return true;
        },
      ),
    );
  });
});
