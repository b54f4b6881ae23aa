/** `npm run gates`: prints the tables of docs/gates.md. All gates get the same traffic. */
import type { MetricOptions } from "../src/rollout/gate.ts";
import {
  eProcess,
  fixedThreshold,
  judge,
  repeatedZTest,
  seeded,
  type Traffic,
} from "../src/rollout/simulate.ts";

const RUNS = Number(process.argv[2] ?? 400);
const HOUR = 3_600;
const BASE = 0.005;
const RATES = [1, 10, 100, 1_000] as const;
const GATE: MetricOptions = { alpha: 0.01, margin: 1, tolerance: 2 };

const steady = (rate: number) => () => rate;
const outage = (second: number) => (second >= 900 && second < 1_200 ? 0.4 : BASE);
const ramp = (second: number) => (second < 900 ? 0.01 : second < 1_800 ? 0.05 : second < 2_700 ? 0.25 : 0.5);

const judges = () => ({
  gate: eProcess(GATE),
  fixed: fixedThreshold(0.01, 60),
  z: repeatedZTest(1.645),
});
const NAMES = {
  gate: "e-process, α = 1%",
  fixed: "more than 1% failed in the last minute",
  z: "z-test at 5%, read every second",
} as const;

function runAll(traffic: Omit<Traffic, "clientsPerSecond">, rate: number) {
  return Array.from({ length: RUNS }, (_, run) =>
    judge({ ...traffic, clientsPerSecond: rate }, judges(), seeded(run * 7_919 + rate)),
  );
}

function falseRollbacks(title: string, change: Partial<Traffic>): void {
  const traffic = {
    seconds: HOUR,
    stable: steady(BASE),
    candidate: steady(BASE),
    share: steady(0.05),
    ...change,
  };
  const found = RATES.map((rate) => runAll(traffic, rate));
  console.log(
    `\n| ${title} | ${RATES.map((rate) => `${rate}/s`).join(" | ")} |\n| --- | ${RATES.map(() => "---").join(" | ")} |`,
  );
  for (const name of Object.keys(NAMES) as (keyof typeof NAMES)[]) {
    const shares = found.map((runs) => runs.filter((fired) => fired[name] !== undefined).length / RUNS);
    console.log(`| ${NAMES[name]} | ${shares.map((share) => `${(100 * share).toFixed(1)}%`).join(" | ")} |`);
  }
}

function detection(candidate: number): void {
  const traffic = { seconds: HOUR, stable: steady(BASE), candidate: steady(candidate), share: steady(0.05) };
  const cells = RATES.map((rate) => {
    const times = runAll(traffic, rate)
      .flatMap(({ gate }) => gate ?? [])
      .sort((x, y) => x - y);
    const share = (100 * times.length) / RUNS;
    return times.length === 0 ? "0%" : `${share.toFixed(0)}%, ${times[Math.floor(times.length / 2)]} s`;
  });
  console.log(`| 0.5% → ${100 * candidate}% | ${cells.join(" | ")} |`);
}

console.log(
  `${RUNS} rollouts each, an hour long, a look every second, 0.5% of clients failing, a share of 5%.`,
);
falseRollbacks("False rollbacks", {});
falseRollbacks("with an outage of five minutes that hits both", { stable: outage, candidate: outage });
falseRollbacks("with 0.5% of clients that always fail", {
  stable: steady(2 * BASE),
  candidate: steady(2 * BASE),
});
falseRollbacks("with a ramp from 1% to 50%", { share: ramp });
console.log(
  `\n| Found, and median time: e-process, α = 1% | ${RATES.map((rate) => `${rate}/s`).join(" | ")} |\n| --- | ${RATES.map(() => "---").join(" | ")} |`,
);
for (const candidate of [0.01, 0.02, 0.05, 0.5]) detection(candidate);
