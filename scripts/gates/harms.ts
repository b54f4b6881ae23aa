/** Rollouts of candidates that are worse than the stable version. The gate must roll them back. */
import { CALM, type World } from "../../src/rollout/model.ts";
import { type Traffic, type Version, VISITORS } from "../../src/rollout/simulate.ts";
import type { Plan, Reference } from "../../src/rollout/types.ts";
import { planOf } from "./nulls.ts";
import * as v from "./versions.ts";

/** What Wald's limit is computed from. Rates are of failing requests per client of an arm. */
export interface Limit {
  readonly candidate: number;
  readonly reference: number;
  /** Requests per second, of all arms. */
  readonly requests: number;
}

/** A candidate with a fault. */
export interface Harm {
  readonly name: string;
  /** When it begins to fail, in seconds. */
  readonly onset: number;
  /** Undefined where the failures are no sequence of equal chances. */
  readonly limit?: Limit;
  /** Share of the candidate, in percent. Its stage has no end. */
  readonly percentage: number;
  readonly world: Partial<World> & { readonly candidate: Version };
}

const DAY = 86_400;
const HALF_HOUR = 1_800;
const BASE = 0.005;

const staying = (percentage: number, failures: Partial<Plan["gates"]["failures"]> = {}): Plan =>
  planOf({ stages: [{ percentage, soak_seconds: DAY }], gates: { failures } });

/** The world of a harm. */
export function harmedWorldOf({ world, percentage }: Harm, reference: Reference): World {
  const plan = world.plan ?? staying(percentage);
  return {
    ...CALM,
    traffic: VISITORS,
    limit: HALF_HOUR,
    stable: v.version(v.steady(BASE), v.noisy),
    ...world,
    plan: { ...plan, gates: { ...plan.gates, reference } },
  };
}

const traffic = (change: Partial<Traffic>): Traffic => ({ ...VISITORS, before: 60, ...change });
/** Ten requests each. */
const guests = traffic({ arrivals: () => 5, requests: 10, pause: () => 10 });
/** Many clients, each with one request. */
const crowd = traffic({ arrivals: () => 50 });
const calm = (failure?: Parameters<typeof v.version>[2]) => v.version(v.steady(0), v.noisy, failure);

/** 0.5% of requests fail on the stable version, and more on the candidate. */
function steadily(rate: number, requests: number): Harm {
  const perSecond = 50;
  return {
    name: `${100 * BASE}% → ${100 * rate}%, ${requests === 1 ? "one answer" : `${requests} answers`} per client`,
    onset: 0,
    limit: { candidate: rate, reference: BASE, requests: perSecond },
    percentage: 10,
    world: {
      limit: 2 * HALF_HOUR,
      traffic: traffic({ arrivals: () => perSecond / requests, requests, pause: () => 5 }),
      candidate: v.version(v.steady(rate), v.noisy),
    },
  };
}

export const STEADY: readonly Harm[] = [1, 10].flatMap((requests) =>
  [0.01, 0.02, 0.05, 0.5].map((rate) => steadily(rate, requests)),
);

export const HARMS: readonly Harm[] = [
  {
    name: "POST, one of ten requests, always fails",
    onset: 0,
    percentage: 10,
    world: { traffic: guests, candidate: v.version(v.steady(0.1 + BASE), v.noisy) },
  },
  {
    name: "one page of five fails",
    onset: 0,
    percentage: 1,
    world: { traffic: guests, candidate: v.version(v.steady(0.2 + BASE), v.noisy) },
  },
  {
    name: "only a client's fifth request fails",
    onset: 0,
    percentage: 10,
    world: {
      traffic: guests,
      candidate: v.version(({ client }) => (client.requests === 5 ? 1 : BASE), v.noisy),
    },
  },
  {
    name: "5,000 regular users, who fail after their first requests",
    onset: 0,
    percentage: 5,
    world: {
      traffic: traffic({ arrivals: () => 0, regulars: 5_000, pause: () => 60 }),
      candidate: v.version(({ client }) => (client.requests > 5 ? 0.05 : BASE), v.noisy),
    },
  },
  {
    name: "leak: after 10 minutes, 20% of requests fail",
    onset: 600,
    percentage: 10,
    world: {
      traffic: guests,
      candidate: v.version(({ time, isolate }) => (time - isolate.born > 600 ? 0.2 : BASE), v.noisy),
    },
  },
  {
    name: "after 4 hours of equality, 5% of requests fail",
    onset: 4 * 3_600,
    percentage: 10,
    world: {
      traffic: traffic({ arrivals: () => 20, before: 100 }),
      limit: 4 * 3_600 + HALF_HOUR,
      candidate: v.version(({ time }) => (time >= 4 * 3_600 ? 0.05 : BASE), v.noisy),
    },
  },
  {
    name: "2% of requests never get an answer (timeout of 30 s)",
    onset: 0,
    percentage: 10,
    world: { traffic: guests, candidate: v.hangs(0.02) },
  },
  {
    name: "30% of bodies break off",
    onset: 0,
    percentage: 10,
    world: { traffic: guests, candidate: v.version(v.steady(0.3), v.noisy, "body") },
  },
  {
    name: "its process ends for 2% of clients",
    onset: 0,
    percentage: 10,
    world: {
      traffic: crowd,
      candidate: v.version(({ client }) => (client.trait < 0.02 ? 1 : 0), v.noisy, "lost"),
      stable: calm(),
    },
  },
  {
    name: "cannot be loaded",
    onset: 0,
    percentage: 1,
    world: { traffic: guests, candidate: v.version(v.steady(1), v.noisy, "unavailable") },
  },
  {
    name: "all answers twice as slow",
    onset: 0,
    percentage: 10,
    world: { traffic: crowd, candidate: v.version(v.steady(BASE), (visit) => 2 * v.noisy(visit)) },
  },
  {
    name: "only the slowest 2% of answers five times slower",
    onset: 0,
    percentage: 10,
    world: { traffic: crowd, candidate: v.version(v.steady(BASE), v.slowTail(5)) },
  },
];
