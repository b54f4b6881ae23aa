import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkShares, latestServesAlone, listDeployments } from "../../src/versions/deployment.ts";
import type { Deployment, Version } from "../../src/versions/types.ts";

const check = (...percentages: number[]) =>
  checkShares(percentages.map((percentage, i) => ({ version_id: `version-${i}`, percentage })));

describe("the shares of a deployment", () => {
  test("are one version, or two that add up to 100 within a thousandth", () => {
    for (const shares of [
      [100],
      [0, 100],
      [90, 10],
      [33.333, 66.667],
      [33.333, 66.666],
      [50.001, 50],
      [0.001, 99.999],
      [99.999],
      [0, 99.999],
      [100, 0.001],
    ]) {
      expect(check(...shares).ok, shares.join(" + ")).toBe(true);
    }
  });

  test("are refused with the number that is wrong", () => {
    const wrong: [number[], RegExp][] = [
      [[], /at least one/],
      [[50, 25, 25], /one or two versions, not 3/],
      [[Number.NaN, 100], /not a number/],
      [[Number.POSITIVE_INFINITY], /not a number/],
      [[Number.NEGATIVE_INFINITY, 100], /version-0 is not a number/],
      [[-1, 101], /version-0 is -1; it must be between 0 and 100/],
      [[-0.001, 100], /between 0 and 100/],
      [[0, 100.001], /version-1 is 100\.001; it must be between 0 and 100/],
      [[101], /between 0 and 100/],
      [[33.3333, 66.6667], /three decimals.*round it to 33\.333/],
      [[33.3335, 66.6665], /three decimals/],
      [[0.0001, 99.9999], /three decimals.*round it to 0/],
      [[50, 49.99], /add up to 99\.99;/],
      [[50, 49.998], /add up to 99\.998;/],
      [[50, 50.002], /add up to 100\.002;/],
      [[50, 50.01], /add up to 100\.01;/],
      [[99], /add up to 99;/],
      [[0, 0], /add up to 0;/],
    ];
    for (const [shares, message] of wrong) {
      const checked = check(...shares);
      expect(checked.ok ? "accepted" : checked.error, shares.join(" + ")).toMatchObject({
        reason: "deployment-invalid",
        detail: expect.stringMatching(message),
      });
    }
  });

  test("cannot name a version twice, whatever its shares", () => {
    for (const [one, other] of [
      [50, 50],
      [100, 0],
    ] as const) {
      const twice = checkShares([
        { version_id: "a", percentage: one },
        { version_id: "a", percentage: other },
      ]);
      expect(twice).toMatchObject({ ok: false, error: { detail: expect.stringContaining("listed twice") } });
    }
  });

  test("are accepted with any three decimals, and kept to the thousandth", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100_000 }), (thousandths) => {
        const given = thousandths / 1000;
        // 100 - given has lost its last bits; what is kept has not.
        expect(check(given, 100 - given)).toEqual({
          ok: true,
          value: [
            { version_id: "version-0", percentage: given },
            { version_id: "version-1", percentage: (100_000 - thousandths) / 1000 },
          ],
        });
      }),
      { numRuns: 2_000 },
    );
  });

  test("are never accepted with a value that is not a number, or with a sum that is not 100", () => {
    fc.assert(
      fc.property(fc.array(fc.double(), { maxLength: 3 }), (percentages) => {
        const checked = check(...percentages);
        if (!checked.ok) return checked.error.reason === "deployment-invalid";
        const sum = checked.value.reduce((total, { percentage: share }) => total + share, 0);
        return Math.abs(sum - 100) < 0.0011;
      }),
    );
  });
});

const deployment = (id: number, ...percentages: number[]): Deployment => ({
  id: `deployment-${id}`,
  created_on: "",
  author: { id: "", email: "" },
  source: "api",
  triggered_by: "deployment",
  message: null,
  versions: percentages.map((percentage, number) => ({
    version_id: `version-${number}`,
    number,
    percentage,
  })),
});

describe("the list of deployments", () => {
  test("is the newest ones", () => {
    const all = [deployment(3, 100), deployment(2, 100), deployment(1, 100)];
    expect(listDeployments(all, 2).map(({ id }) => id)).toEqual(["deployment-3", "deployment-2"]);
  });

  test("always shows one to roll back to, however long the ramp since", () => {
    const ramp = Array.from({ length: 12 }, (_, i) => deployment(20 - i, 50, 50));
    const all = [...ramp, deployment(5, 90, 10), deployment(4, 100), deployment(3, 100)];
    expect(
      listDeployments(all, 10)
        .map(({ id }) => id)
        .slice(-2),
    ).toEqual(["deployment-11", "deployment-4"]);
    // The active one is not one to roll back to.
    const done = [deployment(21, 100), ...all];
    expect(listDeployments(done, 10).at(-1)?.id).toBe("deployment-4");
  });

  test("shows no older one than is needed, and none twice", () => {
    const all = [deployment(9, 50, 50), deployment(8, 100), deployment(7, 100)];
    expect(listDeployments(all, 2).map(({ id }) => id)).toEqual(["deployment-9", "deployment-8"]);
    expect(listDeployments(all, 10)).toEqual(all);
    const zero = [deployment(9, 50, 50), deployment(8, 60, 40), deployment(7, 0, 100), deployment(6, 100)];
    expect(listDeployments(zero, 1).map(({ id }) => id)).toEqual(["deployment-9", "deployment-7"]);
  });

  test("is whole where there is nothing more", () => {
    expect(listDeployments([], 10)).toEqual([]);
    expect(listDeployments([deployment(1, 50, 50)], 10)).toHaveLength(1);
  });
});

test("a secret can be changed in place only while the latest version serves alone", () => {
  const latest = { id: "version-0" } as Version;
  expect(latestServesAlone(latest, deployment(1, 100))).toBe(true);
  expect(latestServesAlone(latest, deployment(1, 100, 0))).toBe(false);
  expect(latestServesAlone({ id: "other" } as Version, deployment(1, 100))).toBe(false);
  expect(latestServesAlone(latest, undefined)).toBe(false);
});
