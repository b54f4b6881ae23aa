import { describe, expect, test } from "vitest";
import { decide, decideFallback } from "../../src/router/decide.ts";
import { armOfKey, compileSplit } from "../../src/router/split.ts";
import { CANDIDATE, recordOf, splitAt, STABLE } from "./keys.ts";

const never = () => {
  throw new Error("randomness was asked for");
};
const show = ({ version, reason }: { version: { version_id: string }; reason: string }) => [
  version.version_id,
  reason,
];

describe("the decision for a request", () => {
  test("follows the override before the key, and the key before chance", () => {
    const split = splitAt(50);
    expect(show(decide(split, CANDIDATE, "some key", never))).toEqual([CANDIDATE, "override"]);
    expect(show(decide(split, STABLE, undefined, never))).toEqual([STABLE, "override"]);
    const byKey = decide(split, undefined, "some key", never);
    expect(byKey.version).toBe(armOfKey(split, "some key").version);
    expect(byKey.reason).toBe("key");
    expect(decide(split, undefined, undefined, () => 0.3).reason).toBe("random");
  });

  test("honours an override of a version at 0%", () => {
    expect(show(decide(splitAt(0), CANDIDATE, undefined, never))).toEqual([CANDIDATE, "override"]);
  });

  test("ignores an override of a version that is not in the deployment", () => {
    expect(decide(splitAt(50), "somebody else's", "key", never).reason).toBe("key");
    expect(show(decide(splitAt(0), "somebody else's", undefined, never))).toEqual([STABLE, "single"]);
  });

  test("neither hashes nor draws where one version serves everybody", () => {
    const single = compileSplit(recordOf([{ version_id: STABLE, number: 1, percentage: 100 }]));
    expect(show(decide(single, undefined, "key", never))).toEqual([STABLE, "single"]);
    expect(show(decide(splitAt(100), undefined, "key", never))).toEqual([CANDIDATE, "single"]);
    expect(show(decide(splitAt(0), undefined, undefined, never))).toEqual([STABLE, "single"]);
  });

  test("draws the candidate for the lower part of [0, 1) and the stable version for the rest", () => {
    const split = splitAt(10);
    expect(show(decide(split, undefined, undefined, () => 0))).toEqual([CANDIDATE, "random"]);
    expect(show(decide(split, undefined, undefined, () => 0.0999999))).toEqual([CANDIDATE, "random"]);
    expect(show(decide(split, undefined, undefined, () => 0.1000001))).toEqual([STABLE, "random"]);
    expect(show(decide(split, undefined, undefined, () => 1 - 2 ** -53))).toEqual([STABLE, "random"]);
  });
});

describe("when the version decided on cannot be loaded", () => {
  test("the stable version takes over from the candidate", () => {
    const split = splitAt(50);
    const fallback = decideFallback(split, split.candidate.key);
    expect(fallback && show(fallback)).toEqual([STABLE, "fallback"]);
  });

  test("the candidate takes over from the stable version only if it was given traffic", () => {
    const live = splitAt(1);
    const stable = live.stable?.key;
    expect(stable && decideFallback(live, stable)?.version.version_id).toBe(CANDIDATE);
    const dark = splitAt(0);
    const alone = dark.stable?.single;
    expect(alone && decideFallback(dark, alone)).toBeUndefined();
  });

  test("nothing takes over from a single version", () => {
    const single = compileSplit(recordOf([{ version_id: STABLE, number: 1, percentage: 100 }]));
    expect(decideFallback(single, single.candidate.single)).toBeUndefined();
  });
});
