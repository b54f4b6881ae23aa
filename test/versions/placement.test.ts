import { describe, expect, test } from "vitest";
import { apartOf, baselineOf, instancesIn, type Lane, versionOf } from "../../src/versions/placement.ts";

const share = (number: number, percentage: number) => ({ version_id: `v${number}`, number, percentage });
const rollout = (candidate: string, baseline?: number) => ({
  id: "r",
  candidate,
  ...(baseline === undefined ? {} : { baseline }),
});
const LANES: readonly (Lane | undefined)[] = ["traffic", "canary", undefined];

/** What each kind of process keeps loaded, in the order of `LANES`. */
const everywhere = (...[shares, watched]: [Parameters<typeof instancesIn>[1], ReturnType<typeof rollout>?]) =>
  LANES.map((lane) => instancesIn(lane, shares, watched));

test("a baseline's name leads to its version, and is the name of no version", () => {
  expect(baselineOf("v1")).not.toBe("v1");
  expect([versionOf(baselineOf("v1")), versionOf("v1")]).toEqual(["v1", "v1"]);
});

describe("the isolates of a deployment", () => {
  test("are one for each version: the candidate's apart", () => {
    expect(everywhere([share(1, 90), share(2, 10)])).toEqual([["v1"], ["v2"], ["v1", "v2"]]);
    expect(everywhere([share(2, 100)])).toEqual([["v2"], [], ["v2"]]);
  });

  test("are those of the rollout's candidate and baseline, beside each other, where a rollout has one", () => {
    expect(everywhere([share(1, 90), share(2, 10)], rollout("v2", 10))).toEqual([
      ["v1"],
      ["v2", "v1.baseline"],
      ["v1", "v2", "v1.baseline"],
    ]);
    expect(everywhere([share(1, 90), share(2, 10)], rollout("v2"))).toEqual([["v1"], ["v2"], ["v1", "v2"]]);
  });

  test("have the older version apart where the rollout goes back to it", () => {
    const shares = [share(1, 10), share(2, 90)];
    expect(apartOf(shares)).toBe("v2");
    expect(apartOf(shares, "v1")).toBe("v1");
    expect(everywhere(shares, rollout("v1", 10))).toEqual([
      ["v2"],
      ["v1", "v2.baseline"],
      ["v1", "v2", "v2.baseline"],
    ]);
  });

  test("have the candidate apart while only a cohort gets it", () => {
    expect(everywhere([share(1, 100), share(2, 0)], rollout("v2"))).toEqual([["v1"], ["v2"], ["v1", "v2"]]);
  });

  test("have both versions where the traffic is, and no baseline, once the candidate has all of it", () => {
    const shares = [share(1, 0), share(2, 100)];
    expect(everywhere(shares, rollout("v2", 10))).toEqual([["v1", "v2"], [], ["v1", "v2"]]);
  });

  test("have no baseline where Durable Objects run", () => {
    expect(instancesIn("objects", [share(1, 90), share(2, 10)], rollout("v2", 10))).toEqual(["v1", "v2"]);
  });
});
