import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { armAt, armOfKey, compileSplit, HASH_SPACE, thresholdOf } from "../../src/router/split.ts";
import { checkShares } from "../../src/versions/deployment.ts";
import type { Share } from "../../src/versions/types.ts";
import { anyString, CANDIDATE, percentage, recordOf, STABLE, sharesAt, splitAt, splitOfOne } from "./keys.ts";
import { referencePick } from "./split.reference.ts";

const LAST_HASH = HASH_SPACE - 1;
const key = fc.oneof(fc.string({ unit: "grapheme", maxLength: 60 }), anyString());
const hash = fc.integer({ min: 0, max: LAST_HASH });

const idAt = (...[split, point]: Parameters<typeof armAt>) => armAt(split, point).version.version_id;
const idOf = (...[split, requestKey]: Parameters<typeof armOfKey>) =>
  armOfKey(split, requestKey).version.version_id;

describe("raising the candidate's share", () => {
  test("never takes the candidate away from a key that had it, whatever the ramp and the order of the versions", () => {
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.array(percentage, { minLength: 2, maxLength: 8 }),
        fc.array(key, { minLength: 1, maxLength: 30 }),
        fc.infiniteStream(fc.boolean()),
        (candidate, steps, keys, swaps) => {
          const ramp = steps.toSorted((a, b) => a - b).map((step) => sharesAt(step, candidate));
          const alone: Share[] = [{ version_id: candidate, number: 2, percentage: 100 }];
          const had = new Set<string>();
          for (const shares of [...ramp, alone]) {
            const swapped = swaps.next().value === true;
            const split = compileSplit(recordOf(swapped ? shares.toReversed() : shares));
            for (const each of keys) {
              const sees = idOf(split, each) === candidate;
              if (had.has(each) && !sees) return false;
              if (sees) had.add(each);
            }
          }
          return had.size === new Set(keys).size;
        },
      ),
    );
  });

  test("never takes the candidate away from any point of the hash space", () => {
    fc.assert(
      fc.property(percentage, percentage, hash, (one, other, point) => {
        const [lower, higher] = one < other ? [one, other] : [other, one];
        return idAt(splitAt(lower), point) !== CANDIDATE || idAt(splitAt(higher), point) === CANDIDATE;
      }),
    );
  });

  test("always reaches more of the hash space, even by a thousandth of a percent", () => {
    for (let thousandths = 1; thousandths <= 100_000; thousandths++) {
      if (thresholdOf(thousandths / 1000) <= thresholdOf((thousandths - 1) / 1000)) {
        expect.fail(`${thousandths / 1000}% reaches no further than ${(thousandths - 1) / 1000}%`);
      }
    }
  });
});

describe("the ends of the hash space", () => {
  test("0% gives the candidate nobody, not even the lowest hash, and asks for no hash", () => {
    const split = splitAt(0);
    expect([idAt(split, 0), idAt(split, LAST_HASH)]).toEqual([STABLE, STABLE]);
    expect(split.everybody).toBe(split.stable);
  });

  test("100% gives the candidate everybody, even the highest hash, and asks for no hash", () => {
    const split = splitAt(100);
    expect([idAt(split, 0), idAt(split, LAST_HASH)]).toEqual([CANDIDATE, CANDIDATE]);
    expect(split.everybody).toBe(split.candidate);
  });

  test("0.001% and 99.999% reach from exactly one end", () => {
    expect([idAt(splitAt(0.001), 0), idAt(splitAt(0.001), LAST_HASH)]).toEqual([CANDIDATE, STABLE]);
    expect([idAt(splitAt(99.999), 0), idAt(splitAt(99.999), LAST_HASH)]).toEqual([CANDIDATE, STABLE]);
    expect(thresholdOf(0.001)).toBe(42_950);
    expect(thresholdOf(99.999)).toBe(HASH_SPACE - 42_950);
  });

  test("no share between 0% and 100% takes the traffic of the other version", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99_999 }), (thousandths) => {
        const split = splitAt(thousandths / 1000);
        return (
          split.everybody === undefined &&
          idAt(split, 0) === CANDIDATE &&
          idAt(split, split.threshold - 1) === CANDIDATE &&
          idAt(split, split.threshold) === STABLE &&
          idAt(split, LAST_HASH) === STABLE
        );
      }),
    );
  });

  test("a single version owns all of it and asks for no hash", () => {
    for (const split of [splitOfOne(STABLE), splitOfOne(STABLE, 99.999)]) {
      expect([idAt(split, 0), idAt(split, LAST_HASH)]).toEqual([STABLE, STABLE]);
      expect(split.everybody).toBe(split.candidate);
    }
  });
});

describe("percentages that do not add up to exactly 100", () => {
  const split = (candidate: number, stable: number) => {
    const [first, second] = sharesAt(candidate);
    return compileSplit(recordOf([first, { ...second, percentage: stable }]));
  };

  test("give nothing to a version that was given 0, where a thousandth is missing", () => {
    expect([idAt(split(99.999, 0), 0), idAt(split(99.999, 0), LAST_HASH)]).toEqual([CANDIDATE, CANDIDATE]);
    expect([idAt(split(0, 99.999), 0), idAt(split(0, 99.999), LAST_HASH)]).toEqual([STABLE, STABLE]);
  });

  test("leave the candidate its share, whether a thousandth is missing or too much", () => {
    for (const [candidate, stable] of [
      [33.333, 66.666],
      [33.333, 66.668],
      [50.001, 50],
      [99.998, 0.001],
      [0.001, 100],
    ] as const) {
      const { threshold } = split(candidate, stable);
      expect(threshold, `${candidate} + ${stable}`).toBe(Math.round((candidate / 100) * HASH_SPACE));
    }
  });
});

describe("the versions of a deployment", () => {
  test("can be named in either order, and no client moves", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.uuid(), percentage, key, (one, other, share, each) => {
        fc.pre(one !== other);
        const shares = sharesAt(share, one, other);
        const reversed = shares.toReversed();
        return idOf(compileSplit(recordOf(shares)), each) === idOf(compileSplit(recordOf(reversed)), each);
      }),
    );
  });

  test("are candidate and stable by number, not by position, percentage or id", () => {
    for (const [low, high] of [
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      // 9 and 12: by number, not by their text either.
      const older = { version_id: low, number: 9, percentage: 1 };
      const newer = { version_id: high, number: 12, percentage: 99 };
      for (const order of [
        [older, newer],
        [newer, older],
      ]) {
        const { candidate, stable } = compileSplit(recordOf(order));
        expect([candidate.version, stable?.version]).toEqual([newer, older]);
      }
    }
  });

  test("are left as they were: compiling a record does not reorder it", () => {
    const shares = Object.freeze(sharesAt(10).toReversed());
    const split = compileSplit(Object.freeze(recordOf(shares)));
    expect(split.record.versions.map(({ version_id }) => version_id)).toEqual([STABLE, CANDIDATE]);
    expect(Object.isFrozen(split)).toBe(true);
  });

  test("are picked as the naive reference picks them, for every deployment and every key", () => {
    const number = fc.integer({ min: 1, max: 1_000 });
    const two = fc
      .tuple(
        fc.uniqueArray(fc.uuid(), { minLength: 2, maxLength: 2 }),
        fc.uniqueArray(number, { minLength: 2, maxLength: 2 }),
        fc.integer({ min: 0, max: 100_000 }),
        fc.constantFrom(-1, 0, 1),
      )
      .map(([ids, numbers, thousandths, drift]) =>
        [thousandths, 100_000 - thousandths + drift].map((share, i) => ({
          version_id: ids[i] as string,
          number: numbers[i] as number,
          percentage: share / 1000,
        })),
      )
      .filter((shares) => checkShares(shares).ok);
    const one = fc
      .record({ version_id: fc.uuid(), number, percentage: fc.constantFrom(100, 99.999) })
      .map((share) => [share]);
    fc.assert(
      fc.property(fc.oneof(one, { arbitrary: two, weight: 9 }), key, (shares, each) => {
        return idOf(compileSplit(recordOf(shares)), each) === referencePick(shares, each);
      }),
      { numRuns: 3_000 },
    );
  });
});
