/** What pages say about a rollout. */
import { expect, test } from "vitest";
import {
  acceptText,
  alarmsOf,
  armsOf,
  failuresText,
  onScale,
  unknownText,
  waitingText,
} from "../../src/dashboard/rollout-text.ts";
import type { RolloutView } from "../../src/dashboard/types.ts";
import { NO_COUNTS } from "../../src/rollout/counts.ts";
import { DEFAULT_GATES, makePlan, type PlanInput } from "../../src/rollout/plan.ts";
import { cohortText, parseCohort } from "../../src/versions/affinity.ts";

function planOf(input: PlanInput) {
  const plan = makePlan(input);
  if (!plan.ok) throw new Error(plan.error);
  return plan.value;
}

const PLAN = planOf({
  stages: [
    { percentage: 5, soak_seconds: 600 },
    { percentage: 100, approval: "manual" },
  ],
  gates: { max_harmed: 20 },
});

const RUNNING = {
  phase: "running",
  waiting: "time",
  failed: null,
  peer: null,
  plan: PLAN,
  stage: 0,
  as_of: "2026-12-01T10:00:00.000Z",
  soaked_seconds: 60,
  users_harmed: 1,
  effect: { from: 0.5, to: 4, text: "0.5 to 4 times as often", unsettled_failures: 0 },
} as const satisfies Partial<RolloutView>;

test("a rollout that waits for time says when its stage can end, pauses aside", () => {
  expect(waitingText(RUNNING)).toContain("until 2026-12-01 10:09:00 UTC");
  expect(waitingText({ ...RUNNING, soaked_seconds: 600 })).toBe("Waits for the gate to look.");
});

test("a rollout that waits for traffic or a window says that it goes on by itself", () => {
  const holding = { ...RUNNING, phase: "holding" } as const;
  expect(waitingText({ ...holding, waiting: "traffic" })).toMatch(/traffic.*by itself/);
  expect(waitingText({ ...holding, waiting: "window" })).toMatch(/freeze window.*by itself/);
  expect(waitingText({ ...holding, waiting: "operator" })).toMatch(/operator.*by itself/);
});

test("a rollout whose gate has failed, or that waits for an approval, does not claim to go on by itself", () => {
  const operator = { ...RUNNING, waiting: "operator" } as const;
  const approval = { ...operator, phase: "awaiting_approval" } as const;
  expect(waitingText({ ...operator, phase: "holding", failed: "it fails" })).not.toContain("by itself");
  expect(waitingText(approval)).toBe("Waits for an operator to approve the next stage.");
  expect(waitingText({ ...approval, stage: 1 })).toBe("Waits for an operator to approve the promotion.");
  expect(waitingText({ ...operator, phase: "paused" })).toContain("resume");
});

test("a rollout that has ended waits for nothing, and a follower waits for its leader", () => {
  expect(waitingText({ ...RUNNING, phase: "promoted", waiting: null })).toBeUndefined();
  const peer = { worker: "api", rollout_id: "r", leads: false };
  expect(waitingText({ ...RUNNING, waiting: "traffic", peer })).toContain("rollout of api");
});

test("whoever approves a failed gate reads what is accepted, and which limit begins again", () => {
  const text = acceptText({ ...RUNNING, phase: "holding", failed: "it fails" });
  expect(text).toContain("1 user has had a failure on the candidate");
  expect(text).toContain("fails 0.5 to 4 times as often as the baseline");
  expect(text).toContain("The limit of 20 users begins again.");
  const waiting = acceptText({ ...RUNNING, phase: "awaiting_approval" });
  expect(waiting).toContain("fails 0.5 to 4 times as often");
  expect(waiting).not.toContain("gate has failed");
  expect(acceptText(RUNNING)).toBeUndefined();
});

test("a range that is not known is not worded as one", () => {
  const effect = { from: null, to: null, text: "an unknown number of times as often", unsettled_failures: 2 };
  expect(acceptText({ ...RUNNING, effect, failed: "it fails" })).not.toContain("unknown");
  expect(unknownText({ ...RUNNING, effect })).toContain("the failures are too new");
  expect(unknownText({ ...RUNNING, effect: { ...effect, unsettled_failures: 0 } })).toContain("too few");
  expect(unknownText({ ...RUNNING, effect, phase: "rolled_back" })).toContain("too early");
});

test("the arms are those that the plan has", () => {
  const names = (input: PlanInput) => armsOf(planOf(input), NO_COUNTS).map(([name]) => name);
  expect(names({})).toEqual(["candidate", "baseline", "rest of the stable version"]);
  const cohort = { type: "cookie", name: "staff", value: "1" } as const;
  expect(names({ gates: { reference: "stable" }, cohort })).toEqual([
    "candidate",
    "stable version",
    "cohort",
  ]);
});

test("each drift is an alarm of its own", () => {
  expect(alarmsOf({ drift: { stable: false, candidate: false } })).toEqual([]);
  expect(alarmsOf({ drift: { stable: true, candidate: true } })).toHaveLength(2);
});

test("the failures of a plan are listed with its own statuses and dataset", () => {
  const rules = { statuses: [404, 429], timeout_seconds: 5, body: false, dataset: "bad_orders" };
  const text = failuresText(rules);
  expect(text).toContain("status 404, 429");
  expect(text).toContain("no answer within 5 s");
  expect(text).toContain("a data point in bad_orders");
  expect(text).not.toContain("body");
  expect(failuresText(DEFAULT_GATES.failures)).toContain("body");
});

test("a cohort is read and written in the notation of key sources", () => {
  const cohort = { type: "header", name: "X-Team", value: "edge=1" } as const;
  expect(parseCohort("header:X-Team=edge=1")).toEqual({ ok: true, value: cohort });
  expect(parseCohort(cohortText(cohort))).toEqual({ ok: true, value: cohort });
  for (const text of [
    "staff=1",
    "cookie:staff",
    "cookie:staff=",
    "cookie:=1",
    "address=1",
    "issued-cookie:id=1",
  ]) {
    expect(parseCohort(text)).toMatchObject({ ok: false });
  }
});

test("equal failure rates are in the middle of the scale, and ratios beyond it at its edges", () => {
  expect([1 / 64, 1, 64].map(onScale)).toEqual([10, 50, 90]);
  expect(onScale(1e9)).toBe(100);
  expect(onScale(1e-9)).toBe(0);
});
