import fc from "fast-check";
import { describe, expect, test } from "vitest";
import xxhash from "xxhash-wasm";
import { hashKey, prepareSeed } from "../../src/router/hash.ts";
import { anyString, long, uuid } from "./keys.ts";

const { h32 } = await xxhash();

const asciiString = fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 60, size: "max" });
const aVersionId = fc.uuid();
const agrees = (seed: string, key: string) => hashKey(prepareSeed(seed), key) === h32(seed + key);

describe("the hash of a key", () => {
  test("is the published XXH32, so that an update of the library cannot move anybody", () => {
    const published: [string, number][] = [
      ["", 0x02cc5d05],
      ["a", 0x550d7456],
      ["abc", 0x32d153ff],
      ["Nobody inspects the spammish repetition", 0xe2293b2f],
    ];
    for (const [text, hash] of published) {
      for (let end = 0; end <= text.length; end++) {
        expect(hashKey(prepareSeed(text.slice(0, end)), text.slice(end)), `${text} at ${end}`).toBe(hash);
      }
    }
  });

  test("is XXH32 of seed and key for every ASCII key and version id", () => {
    fc.assert(fc.property(aVersionId, asciiString, agrees), { numRuns: 2_000 });
    fc.assert(fc.property(aVersionId, long(asciiString, 1_100), agrees), { numRuns: 1_000 });
  });

  test("is XXH32 of seed and key for every Unicode key and seed, lone surrogates included", () => {
    fc.assert(fc.property(fc.oneof(aVersionId, anyString()), anyString(), agrees), { numRuns: 5_000 });
    fc.assert(fc.property(aVersionId, long(anyString(), 3_000), agrees), { numRuns: 500 });
  });

  test("hashes one character where the seed ends with its first half and the key starts with its second", () => {
    for (const padding of ["", "s", "ss", "sss", "s".repeat(13), "s".repeat(33)]) {
      expect(agrees(`${padding}\ud83d`, "\ude00 and more")).toBe(true);
      expect(agrees(`${padding}\ud83d`, "no second half")).toBe(true);
    }
  });

  test("agrees for an ASCII key of every length up to 1100", () => {
    const seed = prepareSeed(uuid("lengths"));
    for (let length = 0; length <= 1_100; length++) {
      const key = "k7-".repeat(length).slice(0, length);
      expect(hashKey(seed, key), `key of ${length}`).toBe(h32(seed.text + key));
    }
  });

  test("agrees for a seed of every length up to 70, with keys around the block sizes and the fast path's limit", () => {
    const lengths = [0, 1, 2, 3, 4, 5, 11, 12, 13, 15, 16, 17, 31, 32, 33, 64, 1023, 1024, 1025, 3000];
    for (let seedLength = 0; seedLength <= 70; seedLength++) {
      const seed = "seed".repeat(seedLength).slice(0, seedLength);
      const prepared = prepareSeed(seed);
      for (const length of lengths) {
        const key = "k7".repeat(length).slice(0, length);
        expect(hashKey(prepared, key), `seed of ${seedLength}, key of ${length}`).toBe(h32(seed + key));
      }
    }
  });

  test("agrees wherever in a key its one unusual character stands", () => {
    const seed = prepareSeed(uuid("unusual"));
    const unusual = ["\0", "\x7f", "\x80", "\xff", "š", "ā", "日", "\ud800", "\udc00", "😀"];
    const lengths = [1, 7, 40, 1_023, 1_024];
    for (const character of unusual) {
      for (const length of lengths) {
        for (let at = 0; at < length; at += length > 40 ? 31 : 1) {
          const key = `${"k".repeat(at)}${character}${"k".repeat(length - at - 1)}`;
          expect(hashKey(seed, key), `${JSON.stringify(character)} at ${at} of ${length}`).toBe(
            h32(seed.text + key),
          );
        }
      }
    }
  });

  test("is an unsigned 32-bit integer", () => {
    fc.assert(
      fc.property(aVersionId, anyString(), (seed, key) => {
        const hash = hashKey(prepareSeed(seed), key);
        return Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32;
      }),
    );
  });

  test("does not depend on the hash before it", () => {
    const seeds = [uuid("a"), "short", uuid("b"), "four", "", "x".repeat(64)].map(prepareSeed);
    const aCall = fc.tuple(fc.constantFrom(...seeds), fc.oneof(asciiString, anyString()));
    fc.assert(
      fc.property(fc.array(aCall, { maxLength: 30 }), (calls) =>
        calls.every(([seed, key]) => hashKey(seed, key) === h32(seed.text + key)),
      ),
      { numRuns: 500 },
    );
  });
});
