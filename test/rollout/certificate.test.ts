/** The certificate of a rollout, computed again by a script that shares no code with Sluice. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Certificate, certificateOf } from "../../src/rollout/certificate.ts";
import { noLook } from "../../src/rollout/counts.ts";
import type { Tally } from "../../src/rollout/gate.ts";
import { makePlan } from "../../src/rollout/plan.ts";
import { GATE, Rollouts } from "../../src/rollout/runner.ts";
import type { Rollout } from "../../src/rollout/types.ts";
import { evidenceOf, thresholdOf } from "../../src/rollout/verdict.ts";
import { openSqlite } from "../support/sqlite.ts";

const SCRIPT = join(import.meta.dirname, "../../scripts/certificate.ts");
const SLOW_MS = [10, 20, 30, 50, 100];
const WHO = { id: "anna", email: "anna@example.com" };

/** What the script says of a certificate. */
function check(certificate: object) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT], {
    input: JSON.stringify(certificate),
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  return { code: status, ...(JSON.parse(stdout) as { errors: number; latency: number; wrong: string[] }) };
}

/** A look after a pause, in ms, with its first failures and slow clients. */
interface Seen {
  readonly pause: number;
  readonly errors: readonly Tally[];
  readonly latency: readonly (readonly Tally[])[];
  /** Whether an operator approves the candidate after it, where that is possible. */
  readonly approve: boolean;
}

const tallies = fc.array(
  fc.record({
    share: fc.constantFrom(0, 0.01, 0.1, 0.5, 0.99, 1),
    candidate: fc.integer({ min: 0, max: 3 }),
    reference: fc.integer({ min: 0, max: 3 }),
  }),
  { maxLength: 3 },
);
const look: fc.Arbitrary<Seen> = fc.record({
  pause: fc.integer({ min: 0, max: 400_000 }),
  errors: tallies,
  latency: fc.array(tallies, { minLength: 5, maxLength: 5 }),
  approve: fc.boolean(),
});

/** A rollout that these looks have happened to, in a real table, and its certificate. */
function run(looks: readonly Seen[], gates: { margin?: number; latency?: boolean }) {
  let now = 1_000_000;
  const rollouts = new Rollouts(openSqlite(), () => now);
  const stages = [10, 50, 90].map((percentage) => ({ percentage, soak_seconds: 1e7 }));
  const plan = makePlan({ gates, on_fail: "hold", stages });
  if (!plan.ok) throw new Error(plan.error);
  const [candidate, stable] = [
    { version_id: "candidate", number: 2 },
    { version_id: "stable", number: 1 },
  ];
  let rollout = rollouts.make({ candidate, stable, plan: plan.value, author: WHO });
  const apply = (event: Parameters<typeof rollouts.apply>[1]) => {
    const applied = rollouts.apply(rollout, event, GATE, () => "deployment");
    if (applied.ok) rollout = applied.value.rollout;
  };
  apply({ type: "start" });
  for (const { pause, errors, latency, approve } of looks) {
    if (rollout.ended !== null) break;
    now += pause;
    const counts = { ...noLook(5), errors, latency };
    const { stage } = rollout;
    apply({ type: "look", counts, stage, slow_ms: SLOW_MS, frozen_until: null, lacks: null });
    if (approve && rollout.failed !== null) apply({ type: "approve" });
  }
  return { rollout, certificate: certificateOf("shop", rollout, rollouts.tallies(rollout.id)) };
}

function expectSame({ rollout, certificate }: { rollout: Rollout; certificate: Certificate }): void {
  const found = check(certificate);
  expect(found).toMatchObject({ code: 0, wrong: [] });
  for (const metric of ["errors", "latency"] as const) {
    expect(Math.log(found[metric])).toBeCloseTo(Math.log(evidenceOf(rollout, metric)), 8);
  }
}

const one = (candidate: number, reference: number): Tally => ({ share: 0.5, candidate, reference });
const QUIET: Seen = { pause: 90_000, errors: [one(1, 1)], latency: SLOW_MS.map(() => []), approve: false };

describe("the certificate of a rollout", () => {
  test("leads to the same E-values without Sluice, whatever the looks, the margin and the approvals were", () => {
    const gates = fc.record({ margin: fc.double({ min: 1, max: 4, noNaN: true }), latency: fc.boolean() });
    fc.assert(
      fc.property(fc.array(look, { maxLength: 25 }), gates, (looks, given) => expectSame(run(looks, given))),
      { numRuns: 12 },
    );
  });

  test("leads to the verdict that the gate acted on", () => {
    const bad = run([QUIET, { ...QUIET, errors: [one(20, 0)] }], {});
    expect(bad.certificate.claimed.verdict).toBe("worse");
    expect(bad.certificate.claimed.errors).toBeGreaterThan(thresholdOf(bad.rollout, "errors"));
    expect(bad.rollout.phase).toBe("holding");
    expectSame(bad);
    expect(run([QUIET], {}).certificate.claimed.verdict).toBe("open");
  });

  test("is found to be false when a row, a minute, a claim, the margin or a threshold was changed", () => {
    const { certificate } = run([QUIET, { ...QUIET, errors: [one(3, 1)] }], { margin: 1.2 });
    expect(check(certificate).code).toBe(0);
    const { rows, claimed, gates } = certificate;
    const withRow = (change: object) => ({
      ...certificate,
      rows: rows.with(1, { ...rows[1], ...change } as never),
    });
    const tampered = [
      withRow({ candidate: 2 }),
      withRow({ reference: 0 }),
      withRow({ share: 0.51 }),
      withRow({ minute: 5 }),
      { ...certificate, rows: rows.slice(1) },
      { ...certificate, claimed: { ...claimed, errors: claimed.errors * 1.000001 } },
      { ...certificate, claimed: { ...claimed, verdict: "worse" } },
      { ...certificate, claimed: { ...claimed, thresholds: { ...claimed.thresholds, errors: 10 } } },
      { ...certificate, gates: { ...gates, margin: 1 } },
    ];
    expect(tampered.map((each) => check(each).code)).toEqual(tampered.map(() => 1));
  });
});
