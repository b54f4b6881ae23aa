/** A rollout as the API shows it. */
import { expect, test } from "vitest";
import { showEntry, showRollout } from "../../src/control/rollout-view.ts";
import { NO_COUNTS } from "../../src/rollout/counts.ts";
import { makeRollout } from "../support/rollouts.ts";

const TALLY = { share: 0.5, candidate: 3, reference: 2 };

test("the view says where a rollout is, what it waits for, whom it harmed and how sure that is", () => {
  const { evidence, ...rest } = makeRollout({ waiting: "traffic", failed: null }, [TALLY]);
  const cohort = { exposures: 4, failures: 1 };
  const total = { ...evidence.total, cohort };
  const rollout = { ...rest, evidence: { ...evidence, total, unsettled: [{ due: 1e6, tally: TALLY }] } };
  expect(showRollout("shop", rollout)).toMatchObject({
    worker: "shop",
    phase: "running",
    waiting: "traffic",
    failed: null,
    percentage: 1,
    as_of: "2026-11-17T00:01:30.000Z",
    elapsed_seconds: 90,
    soaked_seconds: 60,
    cohort: null,
    peer: null,
    effect: { text: expect.stringMatching(/times as often$/), unsettled_failures: 5 },
    users_harmed: 4,
    counts: { total: { candidate: { exposures: 30, failures: 3 }, cohort }, stage: NO_COUNTS },
    gates: { errors: { e_value: 1, threshold: 125 }, latency: { e_value: 1, threshold: 500 } },
    slow_ms: null,
    slow: { clients: { candidate: 0, reference: 0 } },
    share_e_value: 1,
    drift: { stable: false, candidate: false },
  });
});

test("a plan that does not watch latency has one gate, with all of α", () => {
  const { gates } = showRollout("shop", makeRollout({}, [], { gates: { latency: false } })) as {
    gates: Record<string, { threshold: number }>;
  };
  expect(gates).toEqual({ errors: { e_value: 1, threshold: 100 } });
});

test("an event shows what was known after it, and nothing of the gate's inner state", () => {
  const before = makeRollout({});
  const after = makeRollout({ phase: "rolled_back", reason: "it fails", stage: 0 }, [TALLY]);
  const who = { id: "gate", email: "gate" };
  const event = { type: "abort" } as const;
  expect(showEntry({ time: before.clock, who, event, before, after, deployment_id: "d1" })).toMatchObject({
    time: "2026-11-17T00:01:30.000Z",
    who: "gate",
    from: { phase: "running", stage: 0 },
    to: { phase: "rolled_back", stage: 0 },
    reason: "it fails",
    deployment_id: "d1",
    evidence: { users_harmed: 3, effect: { unsettled_failures: 0 } },
  });
});
