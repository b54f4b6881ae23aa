import fc from "fast-check";
import { expect, test } from "vitest";
import { Blame } from "../../src/cli/processes/blame.ts";

const a = { worker: "shop", version: "a" };
const b = { worker: "shop", version: "b" };
const c = { worker: "blog", version: "c" };
const ALONE = { alone: 2, among: Number.POSITIVE_INFINITY };

test("a version that runs alone at the second end is to blame, and the first end blames nobody", () => {
  const blame = new Blame(ALONE);
  expect(blame.ended([a], 0)).toBeUndefined();
  expect(blame.suspected).toEqual(["a"]);
  expect(blame.ended([a], 1_000)).toEqual(a);
  expect(blame.suspected).toEqual([]);
});

test("of two that ran at the first end, only the one that runs alone at the next is to blame", () => {
  const blame = new Blame(ALONE);
  blame.ended([a, b], 0);
  expect(blame.suspected).toEqual(["a", "b"]);
  expect(blame.ended([b], 1_000)).toEqual(b);
  expect(blame.suspected).toEqual(["a"]);
});

test("nobody is blamed while several run, or for an end that nobody's request saw, or long after", () => {
  const blame = new Blame(ALONE);
  expect(blame.ended([a, b], 0)).toBeUndefined();
  expect(blame.ended([a, b], 1_000)).toBeUndefined();
  expect(blame.ended([], 2_000)).toBeUndefined();
  expect(blame.ended([c], 700_000)).toBeUndefined();
  expect(blame.suspected).toEqual(["c"]);
});

test("whoever is blamed ran at two ends, and alone at the last", () => {
  const ends = fc.array(fc.subarray([a, b, c]), { maxLength: 20 });
  fc.assert(
    fc.property(ends, (history) => {
      const blame = new Blame(ALONE);
      history.forEach((running, i) => {
        const found = blame.ended(running, i);
        if (found === undefined) return;
        expect(running).toEqual([found]);
        expect(history.slice(0, i).some((earlier) => earlier.includes(running[0] as typeof a))).toBe(true);
      });
    }),
  );
});

test("where one end tells enough, whoever ran alone is to blame, and of several the one that ran at most ends", () => {
  const blame = new Blame({ alone: 1, among: 2 });
  expect(blame.ended([a], 0)).toEqual(a);
  expect(blame.ended([a, b], 1)).toBeUndefined();
  expect(blame.ended([b, c], 2)).toEqual(b);
  expect(blame.ended([a, c], 3)).toBeUndefined();
});
