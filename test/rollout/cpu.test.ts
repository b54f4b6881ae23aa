/** processor time per request, from the time of a process that runs both versions. */
import { expect, test } from "vitest";
import { addCpu, addSample, cpuTimes, isHeavier, NO_CPU } from "../../src/rollout/cpu.ts";
import type { CpuSample } from "../../src/versions/types.ts";

/** Ticks in which Linux counts processor time, in ms. */
const TICK_MS = 10;

/** Numbers from 0 to 1 that are the same on every run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface World {
  /** processor time of a request in ms. It varies from zero to many times as much (exponential). */
  readonly candidate: number;
  readonly baseline: number;
  readonly other?: number;
  /** Requests in an interval, and how many of them are the candidate's and the baseline's, as parts. */
  readonly requests: number;
  readonly shares: readonly [candidate: number, baseline: number];
  readonly intervals: number;
}

/** What the supervisor would measure: processor time in whole ticks. */
function* samplesOf(world: World, random: () => number): Generator<CpuSample> {
  let [used, read] = [random() * TICK_MS, 0];
  for (let i = 0; i < world.intervals; i++) {
    const counts = { candidate: 0, baseline: 0, other: 0 };
    // Traffic comes and goes.
    const requests = Math.max(Math.round(world.requests * (0.5 + random())), 1);
    for (let k = 0; k < requests; k++) {
      const at = random();
      const [candidate, baseline] = world.shares;
      const arm = at < candidate ? "candidate" : at < candidate + baseline ? "baseline" : "other";
      counts[arm]++;
      used += -Math.log(1 - random()) * (world[arm] ?? 0);
    }
    const now = Math.floor(used / TICK_MS) * TICK_MS;
    yield { ...counts, cpu_ms: now - read };
    read = now;
  }
}

const stateOf = (world: World, seed: number) =>
  [...samplesOf(world, randomOf(seed))].reduce(addSample, NO_CPU);

/** Requests until the alarm; undefined where none came. It is asked after every interval, as the gate does. */
function requestsUntilAlarm(world: World, seed: number): number | undefined {
  let [state, requests] = [NO_CPU, 0];
  for (const sample of samplesOf(world, randomOf(seed))) {
    state = addSample(state, sample);
    requests += sample.candidate + sample.baseline;
    if (isHeavier(state)) return requests;
  }
  return undefined;
}

const EQUAL: World = { candidate: 1, baseline: 1, requests: 20, shares: [0.5, 0.5], intervals: 150 };

test.each([
  ["as many clients each", { ...EQUAL }],
  ["a candidate that has most clients", { ...EQUAL, shares: [5 / 6, 1 / 6] }],
  ["requests of a few microseconds, far below a tick", { ...EQUAL, candidate: 0.02, baseline: 0.02 }],
  ["expensive requests of other versions in the same process", { ...EQUAL, shares: [0.4, 0.4], other: 20 }],
] as const)("equal versions never raise an alarm in 500 rollouts: %s", (_, world) => {
  const alarms = Array.from({ length: 500 }, (_, seed) => requestsUntilAlarm(world, seed));
  expect(alarms.filter((requests) => requests !== undefined)).toEqual([]);
});

test("four times the processor time raises an alarm within 15,000 requests, in each of 100 rollouts", () => {
  const heavy = { ...EQUAL, candidate: 4, requests: 10, intervals: 2_000 };
  const needed = Array.from({ length: 100 }, (_, seed) => requestsUntilAlarm(heavy, seed));
  expect(needed.filter((requests) => requests === undefined || requests > 15_000)).toEqual([]);
});

test("the estimate is the processor time of a request, whatever else runs in the process", () => {
  const world = {
    ...EQUAL,
    candidate: 6,
    baseline: 2,
    other: 15,
    shares: [0.4, 0.4] as const,
    intervals: 2_000,
  };
  const { candidate_ms = 0, baseline_ms = 0 } = cpuTimes(stateOf(world, 1)) ?? {};
  expect(candidate_ms).toBeCloseTo(6, 0);
  expect(baseline_ms).toBeCloseTo(2, 0);
});

test("a process that is always busy does not hide which version keeps it so", () => {
  const random = randomOf(7);
  let state = NO_CPU;
  for (let i = 0; i < 200; i++) {
    // The clients wait for their answers: each interval ends with all of its second used up.
    let [candidate, baseline, used] = [0, 0, 0];
    while (used < 1000) {
      const isCandidate = random() < 0.5;
      used += isCandidate ? 20 : 1;
      if (isCandidate) candidate++;
      else baseline++;
    }
    state = addSample(state, { candidate, baseline, other: 0, cpu_ms: 1000 });
  }
  expect(isHeavier(state)).toBe(true);
});

test("nothing is said before there are 500 requests of each, nor where the two cannot be told apart", () => {
  expect(cpuTimes(stateOf({ ...EQUAL, intervals: 40 }, 1))).toBeUndefined();
  const same = { candidate: 50, baseline: 50, other: 0, cpu_ms: 100 };
  expect(cpuTimes(Array.from({ length: 100 }, () => same).reduce(addSample, NO_CPU))).toBeUndefined();
  expect(addSample(NO_CPU, { candidate: 0, baseline: 0, other: 9, cpu_ms: 50 })).toEqual(NO_CPU);
});

test("two halves of the samples say together what all of them say", () => {
  const samples = [...samplesOf(EQUAL, randomOf(3))];
  const half = (part: CpuSample[]) => part.reduce(addSample, NO_CPU);
  const both = cpuTimes(addCpu(half(samples.slice(0, 90)), half(samples.slice(90))));
  const all = cpuTimes(half(samples));
  expect(both?.candidate_ms).toBeCloseTo(all?.candidate_ms ?? 0, 6);
  expect(both?.deviations).toBeCloseTo(all?.deviations ?? 0, 6);
});

test("what was found lasts until the estimate is twice or less", () => {
  const at = (candidate: number) => stateOf({ ...EQUAL, candidate, intervals: 1_000 }, 5);
  expect([isHeavier(at(2.3)), isHeavier(at(2.3), true), isHeavier(at(1.5), true)]).toEqual([
    false,
    true,
    false,
  ]);
});
