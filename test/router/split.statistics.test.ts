/** The split over large, fixed populations of keys: what these count is the same in every run. */
import { describe, expect, test } from "vitest";
import { hashKey, prepareSeed } from "../../src/router/hash.ts";
import { armOfKey, type Split } from "../../src/router/split.ts";
import { CANDIDATE, populations, splitAt, uuid } from "./keys.ts";

const MILLION = 1_000_000;
const PERCENTS = [0.001, 1, 10, 50, 99.999] as const;
const kinds = Object.entries(populations);

/** Adjacent ids are the hard case: a weak hash would give their rollouts the same users. */
const ROLLOUTS = [
  ["unrelated version ids", uuid("rollout one"), uuid("rollout two")],
  ["version ids that differ in one digit", `${CANDIDATE.slice(0, -1)}0`, `${CANDIDATE.slice(0, -1)}1`],
] as const;

const sees = (split: Split, key: string) => armOfKey(split, key) === split.candidate;

function countCandidate(split: Split, keys: readonly string[]): number {
  let seen = 0;
  for (const key of keys) if (sees(split, key)) seen++;
  return seen;
}

/** How many standard deviations `seen` of `n` is away from `percent`. */
function deviations(seen: number, n: number, percent: number): number {
  const p = percent / 100;
  return Math.abs(seen - n * p) / Math.sqrt(n * p * (1 - p));
}

// Millions of hashes: a second or two each, and more on a busy machine.
describe("the observed share", () => {
  for (const [kind, keysOf] of kinds) {
    test(`is the configured one for a million ${kind}, from 0.001% to 99.999%`, () => {
      const keys = keysOf(MILLION);
      for (const percent of PERCENTS) {
        const seen = countCandidate(splitAt(percent), keys);
        expect(deviations(seen, MILLION, percent), `${percent}%: ${seen}`).toBeLessThan(4);
        expect(seen, `${percent}%`).toBeGreaterThan(0);
        expect(seen, `${percent}%`).toBeLessThan(MILLION);
      }
    });
  }

  test("is the configured one at 0.001% and 99.999% over ten rollouts to the same million users", () => {
    const keys = Array.from({ length: MILLION }, (_, i) => String(i));
    for (const percent of [0.001, 99.999]) {
      let seen = 0;
      for (let i = 0; i < 10; i++) seen += countCandidate(splitAt(percent, uuid(`rollout ${i}`)), keys);
      expect(deviations(seen, 10 * MILLION, percent), `${percent}%: ${seen}`).toBeLessThan(4);
    }
  });

  test("is the configured one for one-character keys, over many rollouts", () => {
    const keys = Array.from("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZé日-_");
    for (const percent of PERCENTS) {
      const rollouts = Math.min(percent, 100 - percent) < 1 ? 16_000 : 2_000;
      let seen = 0;
      for (let i = 0; i < rollouts; i++) seen += countCandidate(splitAt(percent, uuid(`rollout ${i}`)), keys);
      const n = rollouts * keys.length;
      expect(deviations(seen, n, percent), `${percent}%: ${seen} of ${n}`).toBeLessThan(4);
    }
  });

  test("falls evenly over the whole hash space (chi-square over 256 parts)", () => {
    const seed = prepareSeed(CANDIDATE);
    for (const [kind, keysOf] of kinds) {
      const n = 256 * 500;
      const counts = new Array<number>(256).fill(0);
      for (const key of keysOf(n)) {
        const part = hashKey(seed, key) >>> 24;
        counts[part] = (counts[part] ?? 0) + 1;
      }
      const chiSquare = counts.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
      // 255 degrees of freedom: mean 255, standard deviation 22.6. Too even would be as suspicious as too uneven.
      expect(Math.abs(chiSquare - 255), `${kind}: ${chiSquare}`).toBeLessThan(4 * Math.sqrt(2 * 255));
    }
  });

  test("moves, when it grows, as many keys as it grew by and not one in the other direction", () => {
    const n = 200_000;
    for (const [kind, keysOf] of kinds) {
      const before = splitAt(20);
      const after = splitAt(50);
      let moved = 0;
      for (const key of keysOf(n)) {
        const [saw, seesNow] = [sees(before, key), sees(after, key)];
        if (saw && !seesNow) expect.fail(`${key} lost the candidate`);
        if (saw !== seesNow) moved++;
      }
      expect(deviations(moved, n, 30), `${kind}: ${moved}`).toBeLessThan(4);
    }
  });
});

describe("two rollouts", () => {
  for (const [kind, keysOf] of kinds) {
    for (const [ids, first, second] of ROLLOUTS) {
      test(`pick their users among ${kind} independently, with ${ids}`, () => {
        const n = 200_000;
        const keys = keysOf(n);
        for (const [p, q] of [
          [1, 1],
          [5, 50],
          [10, 10],
          [50, 50],
        ] as const) {
          const [one, two] = [splitAt(p, first), splitAt(q, second)];
          const cells = { both: 0, onlyOne: 0, onlyTwo: 0, neither: 0 };
          for (const key of keys) {
            const inOne = sees(one, key);
            const inTwo = sees(two, key);
            cells[inOne ? (inTwo ? "both" : "onlyOne") : inTwo ? "onlyTwo" : "neither"]++;
          }
          const { both, onlyOne, onlyTwo, neither } = cells;
          expect(deviations(both, n, (p * q) / 100), `${p}% and ${q}%: ${both} saw both`).toBeLessThan(4);

          const margins = (both + onlyOne) * (onlyTwo + neither) * (both + onlyTwo) * (onlyOne + neither);
          const chiSquare = (n * (both * neither - onlyOne * onlyTwo) ** 2) / margins;
          // One degree of freedom: the square of a standard normal variable, so 16 is four standard deviations.
          expect(chiSquare, `${p}% and ${q}%`).toBeLessThan(16);
        }
      });
    }
  }
});
