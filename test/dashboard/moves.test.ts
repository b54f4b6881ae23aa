/** Who moves, against the split's own function. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { describeMoves, movesBetween, type Part } from "../../src/dashboard/moves.ts";
import { armOfKey, compileSplit } from "../../src/router/split.ts";

const part = (number: number, percentage: number): Part => ({
  version_id: `version-${number}`,
  number,
  percentage,
});
const two = (stable: number, candidate: number, percentage: number) => [
  part(stable, 100 - percentage),
  part(candidate, percentage),
];

test("a higher share moves its difference to the candidate, and no client back", () => {
  expect(movesBetween(two(1, 2, 10), two(1, 2, 30))).toEqual([
    { from: "version-1", to: "version-2", percentage: 20 },
  ]);
  expect(movesBetween(two(1, 2, 30), two(1, 2, 10))).toEqual([
    { from: "version-2", to: "version-1", percentage: 20 },
  ]);
  expect(movesBetween(two(1, 2, 30), two(1, 2, 30))).toEqual([]);
});

test("the order in which versions are named moves no client", () => {
  expect(movesBetween(two(1, 2, 30), [...two(1, 2, 30)].reverse())).toEqual([]);
});

test("promotion and rollback move those who had the other version", () => {
  expect(movesBetween(two(1, 2, 30), [part(2, 100)])).toEqual([
    { from: "version-1", to: "version-2", percentage: 70 },
  ]);
  expect(movesBetween(two(1, 2, 30), [part(1, 100)])).toEqual([
    { from: "version-2", to: "version-1", percentage: 30 },
  ]);
});

test("each move has a sentence, and so does no move at all", () => {
  const name = (id: string) => id.replace("version-", "#");
  expect(describeMoves(movesBetween(two(1, 2, 10), two(1, 2, 30)), name)).toEqual([
    "20% of the clients move from #1 to #2.",
  ]);
  expect(describeMoves([], name)).toEqual(["No client changes version."]);
});

test("the sentences say what the router does to 4,000 keys", () => {
  const split = fc
    .record({
      stable: fc.integer({ min: 1, max: 4 }),
      more: fc.integer({ min: 0, max: 3 }),
      percentage: fc.integer({ min: 0, max: 100 }),
    })
    .map(({ stable, more, percentage }) =>
      more === 0 ? [part(stable, 100)] : two(stable, stable + more, percentage),
    );
  const keys = Array.from({ length: 4_000 }, (_, i) => `client-${i}`);
  const compiled = (versions: readonly Part[]) =>
    compileSplit({ schema: 1, worker: "w", revision: 1, deployment_id: "d", enabled: true, versions });
  fc.assert(
    fc.property(split, split, (before, after) => {
      const [a, b] = [compiled(before), compiled(after)];
      const said = new Map(
        movesBetween(before, after).map(({ from, to, percentage }) => [`${from} ${to}`, percentage]),
      );
      const seen = new Map<string, number>();
      for (const key of keys) {
        const move = `${armOfKey(a, key).version.version_id} ${armOfKey(b, key).version.version_id}`;
        const [from, to] = move.split(" ");
        if (from !== to) seen.set(move, (seen.get(move) ?? 0) + 1);
      }
      for (const move of new Set([...said.keys(), ...seen.keys()])) {
        const observed = ((seen.get(move) ?? 0) / keys.length) * 100;
        // Six standard deviations of a share of 4,000 at its widest.
        expect(Math.abs(observed - (said.get(move) ?? 0))).toBeLessThan(6 * Math.sqrt(2_500 / keys.length));
      }
    }),
    { numRuns: 60 },
  );
});
