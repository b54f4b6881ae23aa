import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkShares } from "../../src/versions/deployment.ts";
import { parseDeploymentRecord } from "../../src/versions/record.ts";
import { percentage, recordOf, sharesAt } from "../router/keys.ts";

describe("a record from KV", () => {
  const record = recordOf(sharesAt(10));
  const [first, second] = sharesAt(10);
  const parse = (value: unknown) => parseDeploymentRecord(JSON.stringify(value));

  test("is read back unchanged", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.boolean(), percentage, (worker, revision, enabled, share) => {
        const written = { ...recordOf(sharesAt(share)), worker, revision, enabled };
        expect(parse(written)).toEqual(written);
      }),
    );
    const withClasses = { ...record, classes: { "id-1": "Room", "id-2": "Hall" } };
    expect(parse(withClasses)).toEqual(withClasses);
    const alone = recordOf([{ ...first, percentage: 100 }]);
    expect(parse(alone)).toEqual(alone);
  });

  test("is taken for none where anything is missing or of another type", () => {
    const others: Record<string, unknown[]> = {
      schema: [0, 2, "1", true],
      worker: [1, true],
      revision: ["1", true, 1.5, 2 ** 53],
      deployment_id: [1, true],
      enabled: [0, 1, "true"],
      versions: ["", 1, { 0: first, 1: second, length: 2 }],
    };
    for (const field of Object.keys(record)) {
      for (const value of [undefined, null, {}, [], -1.5, ...(others[field] ?? [])]) {
        const broken = { ...record, [field]: value };
        expect(parse(broken), JSON.stringify(broken)).toBeUndefined();
      }
    }
  });

  test("is taken for none where its classes are no names", () => {
    for (const classes of [null, 1, "Room", ["Room"], { "id-1": 1 }, { "id-1": null }]) {
      expect(parse({ ...record, classes }), JSON.stringify(classes)).toBeUndefined();
    }
  });

  test("is taken for none where anything of a version is missing or of another type", () => {
    for (const field of Object.keys(first)) {
      for (const value of [undefined, null, {}, [], -1.5, true, field === "version_id" ? 1 : "1"]) {
        const broken = recordOf([{ ...first, [field]: value }, second]);
        expect(parse(broken), JSON.stringify(broken)).toBeUndefined();
      }
    }
    for (const other of [null, 1, "version", [], [first]]) {
      expect(parse({ ...record, versions: [other, second] })).toBeUndefined();
    }
  });

  test("is taken for none where its versions are no deployment", () => {
    for (const versions of [
      [],
      [first],
      [first, first],
      [first, second, { ...second, version_id: "third" }],
      [first, { ...second, percentage: 89.99 }],
      [first, { ...second, percentage: 90.002 }],
      [{ ...first, percentage: 10.0005 }, second],
    ]) {
      expect(parse({ ...record, versions }), JSON.stringify(versions)).toBeUndefined();
    }
  });

  test("is taken for none where two versions have one number, as neither would be the candidate", () => {
    expect(parse(recordOf([first, { ...second, number: first.number }]))).toBeUndefined();
  });

  test("is taken for none wherever it was cut off", () => {
    const text = JSON.stringify(record);
    for (let end = 0; end < text.length; end++) {
      expect(parseDeploymentRecord(text.slice(0, end)), `${end} characters`).toBeUndefined();
    }
  });

  test("never throws, whatever KV has, and gives nothing that cannot be routed by", () => {
    const almostShare = fc.record(
      {
        version_id: fc.oneof(fc.string(), fc.jsonValue()),
        number: fc.oneof(fc.nat(), fc.jsonValue()),
        percentage: fc.oneof(fc.constantFrom(0, 50, 100), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const almostRecord = fc
      .array(fc.oneof(almostShare, fc.jsonValue()), { maxLength: 3 })
      .map((versions) => JSON.stringify({ ...record, versions }));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), almostRecord), (text) => {
        const parsed = parseDeploymentRecord(text);
        if (parsed === undefined) return;
        expect(checkShares(parsed.versions).ok).toBe(true);
        expect(parsed.versions.every(({ number }) => Number.isSafeInteger(number))).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
