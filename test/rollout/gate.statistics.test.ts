/** The gate against traffic whose truth is known. Seeded: a run that fails can be had again. */
import { describe, expect, test } from "vitest";
import { ClientSet } from "../../src/rollout/clients.ts";
import type { MetricOptions } from "../../src/rollout/gate.ts";
import {
  eProcess,
  fixedThreshold,
  judge,
  repeatedZTest,
  seeded,
  type Traffic,
} from "../../src/rollout/simulate.ts";

const ALPHA = 0.01;
const GATE: MetricOptions = { alpha: ALPHA, margin: 1, tolerance: 2 };
const HOUR = 3_600;
const BASE = 0.005;
const RUNS = 400;

const steady = (rate: number) => () => rate;
const outage = (second: number) => (second >= 900 && second < 1_200 ? 0.4 : BASE);
const ramp = (second: number) => (second < 900 ? 0.01 : second < 1_800 ? 0.05 : second < 2_700 ? 0.25 : 0.5);

const same = (clientsPerSecond: number, change: Partial<Traffic> = {}): Traffic => ({
  clientsPerSecond,
  seconds: HOUR,
  stable: steady(BASE),
  candidate: steady(BASE),
  share: steady(0.05),
  ...change,
});

const SCENARIOS: Readonly<Record<string, Partial<Traffic>>> = {
  "nothing special": {},
  "an outage of five minutes that hits both": { stable: outage, candidate: outage },
  "0.5% of clients that always fail": { stable: steady(BASE + 0.005), candidate: steady(BASE + 0.005) },
  "a ramp in the middle": { share: ramp },
};

describe("a candidate that is as good as the stable version is rolled back in at most 1% of rollouts of an hour, looked at every second,", () => {
  for (const [name, change] of Object.entries(SCENARIOS)) {
    test.each([1, 10, 100, 1_000])(
      `with ${name}, at %i clients per second`,
      (rate) => {
        let fired = 0;
        const runs = rate === 1_000 ? RUNS / 2 : RUNS;
        for (let run = 0; run < runs; run++) {
          const { gate } = judge(same(rate, change), { gate: eProcess(GATE) }, seeded(run * 7_919 + rate));
          if (gate !== undefined) fired++;
        }
        expect(fired / runs).toBeLessThanOrEqual(ALPHA);
      },
      60_000,
    );
  }

  test("with bursts of ten retries for each failure, and clients that come back, since each counts once", () => {
    const runs = 30;
    let [counted, raw] = [0, 0];
    for (let run = 0; run < runs; run++) {
      const random = seeded(run + 1);
      const gates = { counted: eProcess(GATE), raw: eProcess(GATE) };
      const fired = { counted: false, raw: false };
      const clients = new ClientSet(200_000);
      for (let second = 0; second < HOUR; second++) {
        const seen = { counted: [0, 0, 0, 0], raw: [0, 0, 0, 0] } as Record<
          "counted" | "raw",
          [number, number, number, number]
        >;
        for (let i = 0; i < 40; i++) {
          const client = Math.floor(random() * 2 ** 32);
          const isCandidate = random() < 0.05;
          const fails = random() < BASE;
          // A client that fails tries again, and fails again.
          for (let attempt = 0; attempt < (fails ? 10 : 1); attempt++) {
            const kinds = clients.admit(client) ? (["counted", "raw"] as const) : (["raw"] as const);
            for (const kind of kinds) {
              seen[kind][isCandidate ? 0 : 2]++;
              if (fails) seen[kind][isCandidate ? 1 : 3]++;
            }
          }
        }
        for (const kind of ["counted", "raw"] as const) {
          const [ce, cf, se, sf] = seen[kind];
          const interval = {
            candidate: { exposures: ce, failures: cf },
            stable: { exposures: se, failures: sf },
          };
          fired[kind] ||= gates[kind](interval);
        }
      }
      if (fired.counted) counted++;
      if (fired.raw) raw++;
    }
    expect(counted / runs).toBeLessThanOrEqual(ALPHA);
    // What counting requests would have done.
    expect(raw / runs).toBeGreaterThan(0.1);
  });
});

describe("at 100 clients per second and a share of 5%, a candidate that is worse is rolled back", () => {
  const times = (candidate: number) => {
    const found: number[] = [];
    for (let run = 0; run < 200; run++) {
      const traffic = same(100, { candidate: steady(candidate), seconds: 1_800 });
      found.push(judge(traffic, { gate: eProcess(GATE) }, seeded(run + 31)).gate ?? Number.POSITIVE_INFINITY);
    }
    return found.sort((x, y) => x - y);
  };

  test("within 30 s in the median where 5% of its clients fail instead of 0.5%", () => {
    expect(times(0.05)[100]).toBeLessThanOrEqual(30);
  });

  test("within 3 minutes in the median where 2% fail", () => {
    expect(times(0.02)[100]).toBeLessThanOrEqual(180);
  });
});

test("a fixed threshold and a test that is read repeatedly roll back far more good candidates, on the same traffic", () => {
  const fired = { gate: 0, fixed: 0, z: 0 };
  const runs = 100;
  for (let run = 0; run < runs; run++) {
    const judges = { gate: eProcess(GATE), fixed: fixedThreshold(0.01, 60), z: repeatedZTest(1.645) };
    const found = judge(same(10), judges, seeded(run + 5));
    for (const name of ["gate", "fixed", "z"] as const) if (found[name] !== undefined) fired[name]++;
  }
  expect(fired.gate / runs).toBeLessThanOrEqual(ALPHA);
  expect(fired.fixed / runs).toBeGreaterThan(0.5);
  expect(fired.z / runs).toBeGreaterThan(0.2);
});
