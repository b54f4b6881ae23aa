/** Rollouts of candidates that are no worse than the stable version. The gate must not roll them back. */
import { makePlan, type PlanInput } from "../../src/rollout/plan.ts";
import { CALM, type World } from "../../src/rollout/model.ts";
import {
  type Client,
  type Random,
  type Traffic,
  type Version,
  VISITORS,
} from "../../src/rollout/simulate.ts";
import type { Plan, Reference, Rollout, RolloutEvent } from "../../src/rollout/types.ts";
import * as v from "./versions.ts";

/** A candidate whose truth is known, in a world that may be drawn by lot. */
export interface Null {
  readonly name: string;
  /** Whether the guarantee also covers `reference: "stable"`: the isolate's age makes no difference. */
  readonly stable: boolean;
  readonly world: (random: Random) => Partial<World> & { readonly stable: Version };
}

/** Three stages of two to four minutes. */
const STAGES = [10, 25, 50].map((percentage) => ({
  percentage,
  soak_seconds: percentage === 50 ? 240 : 120,
  min_exposures: 20,
}));
/** When the second stage begins where nothing holds the first. */
const RAMP = 120;
const LIMIT = 900;

export function planOf(input: PlanInput): Plan {
  const plan = makePlan({ stages: STAGES, ...input });
  if (!plan.ok) throw new Error(`The plan ${plan.error}.`);
  return plan.value;
}

/** The world of a null in one run. */
export function worldOf({ world }: Null, reference: Reference, random: Random): World {
  const { plan = planOf({}), ...made } = world(random);
  return {
    ...CALM,
    traffic: VISITORS,
    limit: LIMIT,
    candidate: made.stable,
    ...made,
    plan: { ...plan, gates: { ...plan.gates, reference } },
  };
}

const visitors = (change: Partial<Traffic>): Traffic => ({ ...VISITORS, ...change });
/** Five requests each, with some seconds between two. */
const guests = visitors({ arrivals: () => 3, requests: 5, pause: () => 15, before: 150 });
/** Clients who come once a minute for ever. */
const regulars = (count: number, seconds = 60) =>
  visitors({ arrivals: () => 0, regulars: count, pause: () => seconds, before: 60 });

function pausing({ phase }: Rollout, time: number): RolloutEvent | undefined {
  if (phase === "running" && time % 100 === 50) return { type: "pause" };
  return phase === "paused" && time % 100 === 90 ? { type: "resume" } : undefined;
}

function approving({ phase, clock, stage_since }: Rollout): RolloutEvent | undefined {
  const isTime = clock - stage_since > 150_000;
  return phase === "awaiting_approval" && isTime ? { type: "approve" } : undefined;
}

const identical = (rate: number): Null => ({
  name: `identical code, ${100 * rate}% of requests fail`,
  stable: true,
  world: () => ({ stable: v.version(v.steady(rate)) }),
});

const outages: readonly Null[] = [
  {
    name: "outage of 90% for 90 s right after a ramp",
    stable: true,
    world: () => ({ stable: v.version(v.outage(0.005, 0.9, RAMP, 90)) }),
  },
  {
    name: "outage of 90% for 90 s in the middle of a stage",
    stable: true,
    world: () => ({ traffic: guests, stable: v.version(v.outage(0.005, 0.9, 20, 90)) }),
  },
  {
    name: "outage of 30 s at a random moment",
    stable: true,
    world: (random) => ({
      traffic: guests,
      stable: v.version(v.outage(0.005, random(), 450 * random(), 30)),
    }),
  },
  {
    name: "timeouts of 10 to 30 s right after a ramp",
    stable: true,
    world: () => ({ traffic: guests, stable: v.lateTimeouts(0.5, RAMP - 10, 60) }),
  },
  {
    name: "timeouts across a ramp, one of two processes a minute late",
    stable: true,
    world: () => ({ traffic: guests, lags: [0, 60], stable: v.lateTimeouts(0.5, RAMP - 10, 90) }),
  },
];

const isolates: readonly Null[] = [
  {
    name: "cache in the isolate, in front of a backend that fails",
    stable: false,
    world: () => ({ traffic: guests, stable: v.version(v.cached(300, 0.2)) }),
  },
  {
    name: "isolate remembers users that succeeded",
    stable: false,
    world: () => ({ traffic: regulars(1_000, 20), stable: v.version(v.remembersSuccess(0.3)) }),
  },
  {
    name: "isolate remembers users that failed",
    stable: true,
    world: () => ({ traffic: regulars(1_000, 20), stable: v.version(v.remembersFailure(0.01)) }),
  },
  {
    name: "cold isolate: first 50 requests fail in 30% and take 2 s longer",
    stable: false,
    world: () => ({
      traffic: guests,
      stable: v.version(v.warmsUp(50, 0.3, 0.005), v.slowStart(50, 2_000)),
    }),
  },
  {
    name: "candidate's process ends every 30 s, with its requests",
    stable: false,
    world: () => ({
      traffic: guests,
      crashes: 30,
      stable: v.version(v.steady(0.005), ({ random }) => 3_000 * random()),
    }),
  },
  {
    name: "the code ends its process in one of 500 requests",
    stable: false,
    world: () => ({
      traffic: guests,
      stable: v.version(v.steady(0.002), ({ random }) => 3_000 * random(), "lost"),
    }),
  },
];

const byTrait = (often: number, seldom: number) => (client: Client) => (client.trait < 0.05 ? often : seldom);

const clients: readonly Null[] = [
  {
    name: "heavy users, who fail first",
    stable: true,
    world: () => ({
      traffic: { ...regulars(1_500), pause: byTrait(2, 90) },
      stable: v.version(v.steady(0.01)),
    }),
  },
  {
    name: "2% of clients are bots that always fail",
    stable: true,
    world: () => ({ traffic: guests, stable: v.version(v.bots(0.02, 0.002)) }),
  },
  {
    name: "failing clients try 100 times",
    stable: true,
    world: () => ({
      traffic: visitors({ arrivals: () => 5, retries: 100 }),
      stable: v.version(({ client, time }) =>
        client.trait < 0.02 || (time > 100 && time < 130) ? 0.98 : 0.002,
      ),
    }),
  },
  {
    name: "5,000 regular users",
    stable: true,
    world: () => ({ traffic: regulars(5_000, 120), stable: v.version(v.steady(0.003)) }),
  },
  {
    name: "60 regular users",
    stable: true,
    world: () => ({ traffic: { ...regulars(60, 10), before: 300 }, stable: v.version(v.steady(0.02)) }),
  },
  {
    name: "a cohort that fails often gets the candidate first",
    stable: true,
    world: () => ({
      traffic: guests,
      plan: planOf({
        stages: [{ percentage: 0, soak_seconds: 60 }, ...STAGES],
        cohort: { type: "header", name: "x-team", value: "edge" },
      }),
      isCohort: ({ trait }) => trait < 0.02,
      stable: v.version(({ client }) => (client.trait < 0.02 ? 0.02 : 0.005)),
    }),
  },
  {
    name: "better candidate: frail clients fail three times less often",
    stable: true,
    world: () => ({
      traffic: guests,
      stable: v.version(({ client }) => (client.trait < 0.05 ? 0.6 : 0.002)),
      candidate: v.version(({ client }) => (client.trait < 0.05 ? 0.2 : 0.002)),
    }),
  },
];

/** Not covered: docs/gates.md says why. */
const beyond: readonly Null[] = [
  {
    name: "beyond the guarantee: better candidate, 10% of a closed group of 3,000 users are frail",
    stable: false,
    world: () => ({
      traffic: regulars(3_000, 20),
      plan: planOf({ stages: [{ percentage: 50, soak_seconds: LIMIT }] }),
      stable: v.version(({ client }) => (client.trait < 0.1 ? 0.3 : 0.001)),
      candidate: v.version(({ client }) => (client.trait < 0.1 ? 0.05 : 0.001)),
    }),
  },
  {
    name: "beyond the guarantee: isolates that wear out with their requests, at shares over 10%",
    stable: false,
    world: () => ({
      traffic: guests,
      stable: v.version(({ isolate }) => (isolate.requests > 600 && isolate.born >= 0 ? 0.1 : 0.005)),
    }),
  },
];

const times: readonly Null[] = [
  {
    name: "traffic and failures with the time of day",
    stable: true,
    world: () => ({
      traffic: visitors({ arrivals: (time) => 10 * (1 + 0.9 * Math.sin(time / 60)) }),
      stable: v.version(({ time }) => 0.02 * (1 + 0.9 * Math.cos(time / 60))),
    }),
  },
  {
    name: "answers of very different length",
    stable: true,
    world: () => ({
      traffic: { ...guests, arrivals: () => 20, before: 0 },
      stable: v.version(v.steady(0.002), v.noisy),
    }),
  },
  {
    name: "answers that get five times slower over the rollout",
    stable: true,
    world: () => ({
      traffic: guests,
      stable: v.version(v.steady(0.002), (visit) => v.noisy(visit) * (1 + Math.max(visit.time, 0) / 120)),
    }),
  },
  {
    name: "clock set back by an hour",
    stable: true,
    world: () => ({
      traffic: guests,
      clock: (time) => (time < 100 ? 0 : -3_600),
      stable: v.version(v.steady(0.01), v.noisy),
    }),
  },
  {
    name: "paused and resumed again and again",
    stable: true,
    world: () => ({ traffic: guests, operator: pausing, stable: v.version(v.outage(0.01, 0.5, 100, 60)) }),
  },
  {
    name: "registry starts again and gets reports twice",
    stable: true,
    world: () => ({
      traffic: guests,
      restarts: [50.5, 121.5, 130.5, 250.5, 300.5],
      stable: v.version(v.outage(0.01, 0.3, RAMP, 30), v.noisy),
    }),
  },
  {
    name: "two processes, one a minute late",
    stable: true,
    world: () => ({
      traffic: guests,
      lags: [0, 60],
      stable: v.version(v.outage(0.01, 0.5, RAMP - 20, 60), v.noisy),
    }),
  },
  {
    name: "stages that an operator approves later",
    stable: true,
    world: () => ({
      traffic: guests,
      operator: approving,
      plan: planOf({ stages: STAGES.map((stage) => ({ ...stage, approval: "manual" as const })) }),
      stable: v.version(v.steady(0.02), v.noisy),
    }),
  },
];

export const NULLS: readonly Null[] = [
  identical(0.001),
  identical(0.02),
  identical(0.3),
  ...outages,
  ...isolates,
  ...clients,
  ...times,
  ...beyond,
];
