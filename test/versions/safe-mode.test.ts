import { expect, test } from "vitest";
import type { DeploymentRecord } from "../../src/versions/record.ts";
import { servedBy, stableOnly, stableShares } from "../../src/versions/safe-mode.ts";

const share = (number: number, percentage: number) => ({ version_id: `v${number}`, number, percentage });
const RECORD: DeploymentRecord = {
  schema: 1,
  worker: "shop",
  revision: 7,
  deployment_id: "d",
  enabled: true,
  versions: [share(2, 10), share(1, 90)],
  rollout: { id: "r", candidate: "v2" },
};

test.each([
  ["the older of two", [share(2, 10), share(1, 90)], 1],
  ["the older of two in the other order", [share(1, 1), share(2, 99)], 1],
  ["the candidate where the other version has no share left", [share(1, 0), share(2, 100)], 2],
  ["the older one where the candidate has no share yet", [share(1, 100), share(2, 0)], 1],
  ["the only one", [share(5, 100)], 5],
])("safe mode gives all traffic to %s", (_, shares, number) => {
  expect(stableShares(shares)).toEqual([share(number, 100)]);
});

test.each([
  ["where the candidate is the older version", [share(1, 10), share(2, 90)], "v1", 2],
  ["where the candidate has all traffic already", [share(1, 0), share(2, 100)], "v2", 1],
  ["unless the deployment has no other version than the candidate", [share(2, 100)], "v2", 2],
])("safe mode gives all traffic to a rollout's stable version %s", (_, shares, candidate, number) => {
  expect(stableShares(shares, candidate)).toEqual([share(number, 100)]);
});

test("safe mode serves the stable version, is watched by no rollout, and leaves the record as it is", () => {
  const before = structuredClone(RECORD);
  const { rollout, ...rest } = RECORD;
  expect(stableOnly(RECORD)).toEqual({ ...rest, versions: [share(1, 100)], stable_only: true });
  expect(RECORD).toEqual(before);
});

test("without safe mode a record is served as it is", () => {
  expect(servedBy({})(RECORD)).toBe(RECORD);
  expect(servedBy({ SLUICE_SAFE_MODE: "on" })(RECORD).versions).toEqual([share(1, 100)]);
});
