import { expect, test } from "vitest";
import { backlogOf, isShort } from "../../src/cli/processes/descriptors.ts";

test("a process is short of descriptors from half of its limit on, until it is below 40%", () => {
  const open = [100, 499, 500, 1_000, 450, 400, 399, 499, 500];
  let short = false;
  const seen = open.map((each) => {
    short = isShort(short, each, 1_000);
    return short;
  });
  expect(seen).toEqual([false, false, true, true, true, true, false, false, true]);
  expect(isShort(false, 1_000_000, Number.POSITIVE_INFINITY)).toBe(false);
});

test("what waits to be accepted fits between half of the limit and all of it, with two descriptors for each", () => {
  for (const limit of [256, 1_024, 20_000, 1_048_576, Number.POSITIVE_INFINITY]) {
    expect(2 * backlogOf(limit)).toBeLessThan(0.5 * limit);
  }
  expect(backlogOf(Number.POSITIVE_INFINITY)).toBe(4_096);
});
