import fc from "fast-check";
import { expect, test } from "vitest";
import { baselinePercentage } from "../../src/rollout/baseline.ts";
import { percentage } from "../router/keys.ts";

const BASELINE = { reference: "baseline" } as const;

test.each([
  [0, 0],
  [0.1, 0.1],
  [5, 5],
  [25, 10],
  [95, 5],
  [99.999, 0.001],
  [100, 0],
])("beside a candidate at %d% the baseline has %d%", (candidate, expected) => {
  expect(baselinePercentage(BASELINE, candidate)).toBe(expected);
});

test("a candidate that is compared with all of the stable version has no baseline", () => {
  expect(baselinePercentage({ reference: "stable" }, 10)).toBe(0);
});

test("a baseline is never larger than the candidate, and both fit into the hash space", () => {
  fc.assert(
    fc.property(percentage, (candidate) => {
      const found = baselinePercentage(BASELINE, candidate);
      expect(found).toBeLessThanOrEqual(Math.min(candidate, 10) + 0.0005);
      expect(found + candidate).toBeLessThanOrEqual(100.0005);
      expect(found).toBeGreaterThanOrEqual(0);
    }),
  );
});
