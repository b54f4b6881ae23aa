import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { armAt, armOfKey, compileSplit, HASH_SPACE, thresholdOf } from "../../src/router/split.ts";
import { CANDIDATE, populations, recordOf, sharesAt, splitAt, STABLE, uuid } from "./keys.ts";
import { referencePick } from "./split.reference.ts";

const LAST_HASH = HASH_SPACE - 1;
const percentage = fc.integer({ min: 0, max: 100_000 }).map((thousandths) => thousandths / 1000);
const key = fc.string({ unit: "grapheme", maxLength: 60 });

const idAt = (...[split, hash]: Parameters<typeof armAt>) => armAt(split, hash).version.version_id;
const idOf = (...[split, requestKey]: Parameters<typeof armOfKey>) =>
  armOfKey(split, requestKey).version.version_id;

/** Share of the candidate among `n` keys, as the number of standard deviations that it is away from `percent`. */
function deviations(seen: number, n: number, percent: number): number {
  const p = percent / 100;
  return Math.abs(seen - n * p) / Math.sqrt(n * p * (1 - p));
}

describe("raising the candidate's share", () => {
  test("never takes the candidate away from a key that had it, whatever the ramp and the order of the versions", () => {
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.array(percentage, { minLength: 2, maxLength: 8 }),
        fc.array(key, { minLength: 1 }),
        fc.infiniteStream(fc.boolean()),
        (candidate, steps, keys, swaps) => {
          const ramp = steps.toSorted((a, b) => a - b);
          const had = new Set<string>();
          for (const step of ramp) {
            const [first, second] = sharesAt(step, candidate);
            const swapped = swaps.next().value === true;
            const split = compileSplit(recordOf(swapped ? [second, first] : [first, second]));
            for (const each of keys) {
              const sees = idOf(split, each) === candidate;
              if (had.has(each) && !sees) return false;
              if (sees) had.add(each);
            }
          }
          return true;
        },
      ),
    );
  });

  test("moves only as many keys as the share grew by", () => {
    const keys = Array.from({ length: 20_000 }, (_, i) => String(i));
    const before = splitAt(20);
    const after = splitAt(50);
    const moved = keys.filter((each) => idOf(before, each) !== idOf(after, each));
    expect(moved.every((each) => idOf(after, each) === CANDIDATE)).toBe(true);
    expect(deviations(moved.length, keys.length, 30)).toBeLessThan(4);
  });
});

describe("the ends of the hash space", () => {
  test("0% gives the candidate nobody, not even the lowest hash", () => {
    const split = splitAt(0);
    expect(idAt(split, 0)).toBe(STABLE);
    expect(idAt(split, LAST_HASH)).toBe(STABLE);
    expect(split.everybody?.version.version_id).toBe(STABLE);
  });

  test("100% gives the candidate everybody, even the highest hash", () => {
    const split = splitAt(100);
    expect(idAt(split, 0)).toBe(CANDIDATE);
    expect(idAt(split, LAST_HASH)).toBe(CANDIDATE);
    expect(split.everybody?.version.version_id).toBe(CANDIDATE);
  });

  test("0.001% and 99.999% reach from exactly one end", () => {
    expect(idAt(splitAt(0.001), 0)).toBe(CANDIDATE);
    expect(idAt(splitAt(0.001), LAST_HASH)).toBe(STABLE);
    expect(idAt(splitAt(99.999), 0)).toBe(CANDIDATE);
    expect(idAt(splitAt(99.999), LAST_HASH)).toBe(STABLE);
    expect(thresholdOf(0.001)).toBe(42_950);
  });

  test("the boundary itself belongs to the stable version", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99_999 }), (thousandths) => {
        const split = splitAt(thousandths / 1000);
        return idAt(split, split.threshold - 1) === CANDIDATE && idAt(split, split.threshold) === STABLE;
      }),
    );
  });

  test("a single version owns all of it", () => {
    const split = compileSplit(recordOf([{ version_id: STABLE, number: 7, percentage: 100 }]));
    expect([idAt(split, 0), idAt(split, LAST_HASH)]).toEqual([STABLE, STABLE]);
    expect(split.everybody?.version.version_id).toBe(STABLE);
  });

  test("a sum of 99.999 gives nothing to a version that was given 0", () => {
    const split = compileSplit(
      recordOf([
        { version_id: CANDIDATE, number: 2, percentage: 99.999 },
        { version_id: STABLE, number: 1, percentage: 0 },
      ]),
    );
    expect(idAt(split, LAST_HASH)).toBe(CANDIDATE);
  });
});

describe("the observed share", () => {
  const percents = [1, 10, 50, 99.999] as const;
  for (const [name, keyOf] of Object.entries(populations)) {
    test(`is the configured one for ${name}`, () => {
      for (const percent of percents) {
        const n = percent === 99.999 ? 400_000 : 50_000;
        const split = splitAt(percent);
        let seen = 0;
        for (let i = 0; i < n; i++) if (idOf(split, keyOf(i)) === CANDIDATE) seen++;
        expect(deviations(seen, n, percent), `${percent}% of ${n} ${name}: ${seen}`).toBeLessThan(4);
      }
    });
  }

  test("is the configured one at 0.001% of a million keys of each kind", () => {
    const split = splitAt(0.001);
    for (const [name, keyOf] of Object.entries(populations)) {
      const n = name === "UUIDs" ? 400_000 : 1_000_000;
      let seen = 0;
      for (let i = 0; i < n; i++) if (idOf(split, keyOf(i)) === CANDIDATE) seen++;
      expect(deviations(seen, n, 0.001), `${seen} of ${n} ${name}`).toBeLessThan(4);
      expect(seen).toBeGreaterThan(0);
    }
  });

  test("is the configured one for one-character keys, over many rollouts", () => {
    const characters = Array.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZé日-_");
    for (const percent of [0.001, 1, 10, 50, 99.999]) {
      const rollouts = percent === 0.001 || percent === 99.999 ? 8_000 : 1_000;
      let seen = 0;
      for (let i = 0; i < rollouts; i++) {
        const candidate = uuid(`rollout ${i}`);
        const split = splitAt(percent, candidate);
        for (const each of characters) if (idOf(split, each) === candidate) seen++;
      }
      const n = rollouts * characters.length;
      expect(deviations(seen, n, percent), `${percent}%: ${seen} of ${n}`).toBeLessThan(4);
    }
  });

  test("falls evenly over the whole hash space (chi-square over 256 bins)", () => {
    for (const [name, keyOf] of Object.entries(populations)) {
      const n = 51_200;
      const bins = new Array<number>(256).fill(0);
      for (let i = 0; i < n; i++) {
        // The bin of a key, read off through the split itself: the first of 256 shares that contains it.
        const bin = binOf(keyOf(i));
        bins[bin] = (bins[bin] ?? 0) + 1;
      }
      const expected = n / 256;
      const chiSquare = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: mean 255, standard deviation 22.6; four of them.
      expect(chiSquare, name).toBeLessThan(255 + 4 * Math.sqrt(2 * 255));
    }
  });
});

const binSplits = Array.from({ length: 256 }, (_, i) => ({ ...splitAt(50), threshold: (i + 1) * 2 ** 24 }));
function binOf(requestKey: string): number {
  let low = 0;
  let high = 255;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (idOf(binSplits[middle] as (typeof binSplits)[number], requestKey) === CANDIDATE) high = middle;
    else low = middle + 1;
  }
  return low;
}

describe("two rollouts", () => {
  test("pick their users independently: the overlap is what chance gives", () => {
    const n = 200_000;
    for (const [name, keyOf] of Object.entries(populations)) {
      for (const [p, q] of [
        [10, 10],
        [5, 50],
        [50, 50],
      ] as const) {
        const one = splitAt(p, uuid("rollout one"));
        const two = splitAt(q, uuid("rollout two"));
        let both = 0;
        for (let i = 0; i < n; i++) {
          const each = keyOf(i);
          if (armOfKey(one, each) === one.candidate && armOfKey(two, each) === two.candidate) both++;
        }
        expect(deviations(both, n, (p * q) / 100), `${name}, ${p}% and ${q}%: ${both}`).toBeLessThan(4);
      }
    }
  });
});

describe("the versions of a deployment", () => {
  test("can be named in either order: it moves nobody", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.uuid(), percentage, key, (one, other, share, each) => {
        fc.pre(one !== other);
        const [first, second] = sharesAt(share, one, other);
        return (
          idOf(compileSplit(recordOf([first, second])), each) ===
          idOf(compileSplit(recordOf([second, first])), each)
        );
      }),
    );
  });

  test("are candidate and stable by number, not by position or percentage", () => {
    const older = { version_id: "older", number: 3, percentage: 1 };
    const newer = { version_id: "newer", number: 12, percentage: 99 };
    for (const order of [
      [older, newer],
      [newer, older],
    ]) {
      const split = compileSplit(recordOf(order));
      expect([split.candidate.version.version_id, split.stable?.version.version_id]).toEqual([
        "newer",
        "older",
      ]);
    }
  });

  test("are picked as the naive reference picks them", () => {
    fc.assert(
      fc.property(fc.uuid(), percentage, key, (candidate, share, each) => {
        const shares = sharesAt(share, candidate);
        return idOf(compileSplit(recordOf(shares)), each) === referencePick(shares, each);
      }),
      { numRuns: 3_000 },
    );
  });
});
