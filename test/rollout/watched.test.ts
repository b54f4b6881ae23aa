import { expect, test } from "vitest";
import { watchedOf } from "../../src/rollout/baseline.ts";
import { makePlan } from "../../src/rollout/plan.ts";
import type { Plan } from "../../src/rollout/types.ts";
import { parseDeploymentRecord } from "../../src/versions/record.ts";
import { CANDIDATE, recordOf, sharesAt } from "../router/keys.ts";

const COHORT = { type: "header", name: "x-team", value: "web" } as const;
const candidate = { version_id: CANDIDATE, number: 2 };

function plan(change: Parameters<typeof makePlan>[0] = {}): Plan {
  const made = makePlan(change);
  if (!made.ok) throw new Error(made.error);
  return made.value;
}

test("a record names the rollout's candidate, its baseline and its rules", () => {
  const rollout = { id: "r", candidate, salt: "leader", plan: { ...plan(), cohort: COHORT } };
  const watched = watchedOf(rollout, sharesAt(25));
  expect(watched).toEqual({
    id: "r",
    candidate: CANDIDATE,
    salt: "leader",
    baseline: 10,
    cohort: COHORT,
    failures: rollout.plan.gates.failures,
  });
  const record = { ...recordOf(sharesAt(25)), rollout: watched };
  expect(parseDeploymentRecord(JSON.stringify(record))).toEqual(record);
});

test.each([
  ["while only a cohort gets the candidate", sharesAt(0)],
  ["once the candidate has all traffic", sharesAt(100)],
  ["where the candidate is not deployed", sharesAt(0).slice(1)],
])("a record has no baseline %s, and no field without a value", (_, shares) => {
  const given = plan();
  expect(watchedOf({ id: "r", candidate, salt: null, plan: given }, shares)).toEqual({
    id: "r",
    candidate: CANDIDATE,
    failures: given.gates.failures,
  });
});
