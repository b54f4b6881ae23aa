/**
 * A model of a Worker's traffic, request by request: who comes when, and what a version does with a request. Pure:
 * randomness is passed in. Times are in seconds since the start of the rollout; those before it are negative.
 */
import { hashKey, prepareSeed, type Seed } from "../router/hash.ts";
import type { FailureKind } from "./records.ts";

/** A source of numbers in [0, 1). */
export type Random = () => number;

/** Someone with a request key. */
export interface Client {
  readonly key: string;
  /** Of the split: decides the version. */
  readonly place: number;
  /** Of the rollout: what routers report in place of the key. */
  readonly hash: number;
  /** Uniform in [0, 1), for what sets this client apart from others, whatever version it gets. */
  readonly trait: number;
  /** Requests so far. */
  requests: number;
  /** Requests that are still to come. */
  left: number;
}

/** A request in a log. Time in seconds since the first one. */
export interface LoggedRequest {
  readonly key: string;
  readonly failed: boolean;
  readonly time: number;
}

/** Who comes, and how often. */
export interface Traffic {
  /** New clients per second. */
  readonly arrivals: (time: number) => number;
  /** Clients who were there before the rollout and come again until its end. */
  readonly regulars: number;
  /** Mean number of requests of a new client, at least 1. Geometrically distributed. */
  readonly requests: number;
  /** Mean pause between two requests of a client, in seconds. Exponentially distributed. */
  readonly pause: (client: Client, time: number) => number;
  /** Requests with which a client tries again after a failure, within seconds. */
  readonly retries: number;
  /** Seconds of traffic before the rollout, in which the stable version's isolates get their state. */
  readonly before: number;
  /** Requests to replay beside all others, in the order of time. */
  readonly log: readonly LoggedRequest[];
}

/** New clients with one request each. */
export const VISITORS: Traffic = {
  arrivals: () => 10,
  regulars: 0,
  requests: 1,
  pause: () => 10,
  retries: 0,
  before: 0,
  log: [],
};

/** A version's code in memory. */
export interface Isolate {
  /** When it was loaded. */
  readonly born: number;
  /** Requests so far, the present one included. */
  requests: number;
  /** What the code keeps between requests. */
  readonly memory: Map<string, number>;
}

export const newIsolate = (born: number): Isolate => ({ born, requests: 0, memory: new Map() });

/** A request, as a version sees it. */
export interface Visit {
  readonly time: number;
  readonly client: Client;
  readonly isolate: Isolate;
  readonly random: Random;
  /** Whether this request failed in the log that is replayed; false without a log. */
  readonly failed: boolean;
}

/** What became of a request. */
export interface Answer {
  /** Until the answer began. Infinity where none ever does. */
  readonly ms: number;
  /** Null for a good answer. */
  readonly failure: FailureKind | null;
}

/** What a version does with a request. */
export type Version = (visit: Visit) => Answer;

/** Clients by number, with keys of one run. */
export class Clients {
  readonly #random: Random;
  readonly #place: Seed;
  readonly #hash: Seed;
  #count = 0;

  constructor(random: Random) {
    this.#random = random;
    // As long as the version ids and rollout ids of a server.
    const id = () => `${random()}`.padEnd(36, "0").slice(0, 36);
    this.#place = prepareSeed(id());
    this.#hash = prepareSeed(id());
  }

  /** @param left requests that it will send */
  next(left: number): Client {
    return this.named(`client-${this.#count++}`, left);
  }

  named(key: string, left: number): Client {
    return {
      key,
      place: hashKey(this.#place, key),
      hash: hashKey(this.#hash, key),
      trait: this.#random(),
      requests: 0,
      left,
    };
  }
}

/** What is to happen, in the order of time. A binary heap. */
export class Agenda<What> {
  readonly #times: number[] = [];
  readonly #whats: What[] = [];

  /** When the next thing happens; Infinity for never. */
  get next(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  add(time: number, what: What): void {
    const [times, whats] = [this.#times, this.#whats];
    let at = times.length;
    times.push(time);
    whats.push(what);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((times[parent] as number) <= time) break;
      times[at] = times[parent] as number;
      whats[at] = whats[parent] as What;
      at = parent;
    }
    times[at] = time;
    whats[at] = what;
  }

  /** Removes what is next. Undefined where nothing is left. */
  take(): What | undefined {
    const [times, whats] = [this.#times, this.#whats];
    const first = whats[0];
    const time = times.pop();
    const what = whats.pop();
    if (time === undefined || times.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= times.length) break;
      if (child + 1 < times.length && (times[child + 1] as number) < (times[child] as number)) child++;
      if ((times[child] as number) >= time) break;
      times[at] = times[child] as number;
      whats[at] = whats[child] as What;
      at = child;
    }
    times[at] = time;
    whats[at] = what as What;
    return first;
  }
}

/** Exact up to a mean of 30, then a rounded normal distribution. */
export function poisson(mean: number, random: Random): number {
  if (mean > 30) {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal));
  }
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random(); product > limit; product *= random()) count++;
  return count;
}

/** Exact: jumps from one success to the next. */
export function binomial(n: number, p: number, random: Random): number {
  if (p <= 0 || n === 0) return 0;
  if (p >= 1) return n;
  const log = Math.log1p(-p);
  const jump = () => Math.floor(Math.log(1 - random()) / log);
  let count = 0;
  for (let at = jump(); at < n; at += 1 + jump()) count++;
  return count;
}

export function exponential(mean: number, random: Random): number {
  return -mean * Math.log(1 - random());
}

/** @param mean at least 1 @returns at least 1 */
export function geometric(mean: number, random: Random): number {
  return mean <= 1 ? 1 : 1 + Math.floor(Math.log(1 - random()) / Math.log(1 - 1 / mean));
}

/** A lognormal time. @param median in ms @param spread standard deviation of the logarithm */
export function lognormal(median: number, spread: number, random: Random): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return median * Math.exp(spread * normal);
}

/** A repeatable source of numbers: mulberry32. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
