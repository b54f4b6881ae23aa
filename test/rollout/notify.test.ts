/** What operators are told about a rollout. */
import { expect, test } from "vitest";
import { rolloutNews } from "../../src/rollout/notify.ts";
import { makeRollout } from "../support/rollouts.ts";

test("a notice names the effect and the users harmed, in fields and in words", () => {
  const failures = [{ share: 0.5, candidate: 30, reference: 30 }];
  const rollout = makeRollout(
    { phase: "awaiting_approval", reason: "the gate passed", waiting: "operator" },
    failures,
  );
  const { detail, text } = rolloutNews("shop", "approval", rollout);
  expect(detail).toMatchObject({
    rollout_id: rollout.id,
    phase: "awaiting_approval",
    waiting: "operator",
    users_harmed: 30,
    effect: { from: expect.any(Number), to: expect.any(Number) },
  });
  const { effect } = detail as { effect: { from: number; to: number; text: string } };
  expect(effect.from).toBeLessThan(1);
  expect(effect.to).toBeGreaterThan(1);
  expect(effect.text).toMatch(/^[\d.]+ to [\d.]+ times as often$/);
  expect(text).toBe(
    `awaiting approval – the gate passed; 30 users harmed, the candidate fails ${effect.text} (rollout ${rollout.id})`,
  );
});

test("a notice says that the effect is unknown while nobody has failed", () => {
  const { detail, text } = rolloutNews("shop", "stage", makeRollout({}, []));
  expect(detail).toMatchObject({
    users_harmed: 0,
    effect: { from: null, to: null, text: "an unknown number of times as often" },
  });
  expect(text).toContain("0 users harmed");
});
