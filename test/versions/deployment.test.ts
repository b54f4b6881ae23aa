import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checkShares,
  latestServesAlone,
  listDeployments,
  parseDeploymentRecord,
} from "../../src/versions/deployment.ts";
import type { Deployment, Version } from "../../src/versions/types.ts";
import { recordOf, sharesAt } from "../router/keys.ts";

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
      [[-1, 101], /between 0 and 100/],
      [[101], /between 0 and 100/],
      [[33.3333, 66.6667], /three decimals.*round it to 33\.333/],
      [[50, 49.99], /add up to 99\.99;/],
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

  test("cannot name a version twice", () => {
    const twice = checkShares([
      { version_id: "a", percentage: 50 },
      { version_id: "a", percentage: 50 },
    ]);
    expect(twice).toMatchObject({ ok: false, error: { detail: expect.stringContaining("twice") } });
  });

  test("are accepted with any three decimals, and kept to the thousandth", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100_000 }), (thousandths) => {
        const first = thousandths / 1000;
        const checked = check(first, 100 - first);
        return (
          checked.ok &&
          checked.value.every(
            ({ percentage }, i) =>
              Math.round(percentage * 1000) === (i === 0 ? thousandths : 100_000 - thousandths),
          )
        );
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

describe("a record from KV", () => {
  const record = recordOf(sharesAt(10));

  test("is read back as it was written", () => {
    expect(parseDeploymentRecord(JSON.stringify(record))).toEqual(record);
  });

  test("is taken for none where anything is missing or of another type", () => {
    for (const field of Object.keys(record)) {
      for (const value of [undefined, null, {}, [], -1.5]) {
        const broken = JSON.stringify({ ...record, [field]: value });
        expect(parseDeploymentRecord(broken), broken).toBeUndefined();
      }
    }
    const [first, second] = record.versions;
    for (const versions of [
      [first],
      [first, first],
      [first, second, second],
      [{ ...first, number: "2" }, second],
      [null, second],
    ]) {
      expect(parseDeploymentRecord(JSON.stringify({ ...record, versions }))).toBeUndefined();
    }
  });

  test("is taken for none wherever it was cut off", () => {
    const text = JSON.stringify(record);
    for (let end = 0; end < text.length; end++)
      expect(parseDeploymentRecord(text.slice(0, end))).toBeUndefined();
  });

  test("never throws, whatever KV has", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseDeploymentRecord(text)));
  });
});
