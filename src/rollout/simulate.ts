/** A model of traffic, second by second, and judges that decide on it. Pure: randomness is passed in. */
import { type Arm, evidence, type Interval, type MetricOptions, NEW_METRIC, observe } from "./gate.ts";

/** A source of numbers in [0, 1). */
export type Random = () => number;

/** The clients of a Worker, and how often they fail. */
export interface Traffic {
  /** Distinct new clients. */
  readonly clientsPerSecond: number;
  readonly seconds: number;
  /** Probability that a client's first answer from the stable version fails, by second. */
  readonly stable: (second: number) => number;
  /** The same for the candidate. */
  readonly candidate: (second: number) => number;
  /** Share of the candidate in (0, 1), by second. */
  readonly share: (second: number) => number;
}

/** Says whether it would roll back, given the clients since the previous call. */
type Judge = (interval: Interval) => boolean;

/** The interval of each second. */
export function* intervals(traffic: Traffic, random: Random): Generator<Interval> {
  for (let second = 0; second < traffic.seconds; second++) {
    const share = traffic.share(second);
    const arm = (rate: number, failing: number): Arm => {
      const exposures = poisson(rate, random);
      return { exposures, failures: binomial(exposures, failing, random) };
    };
    yield {
      candidate: arm(traffic.clientsPerSecond * share, traffic.candidate(second)),
      stable: arm(traffic.clientsPerSecond * (1 - share), traffic.stable(second)),
    };
  }
}

/** The second in which each judge would first roll back; undefined where it never would. */
export function judge<Name extends string>(
  traffic: Traffic,
  judges: Readonly<Record<Name, Judge>>,
  random: Random,
): Record<Name, number | undefined> {
  const fired = Object.fromEntries(Object.keys(judges).map((name) => [name, undefined])) as Record<
    Name,
    number | undefined
  >;
  let second = 0;
  for (const interval of intervals(traffic, random)) {
    second++;
    for (const name of Object.keys(judges) as Name[]) {
      if (fired[name] === undefined && judges[name](interval)) fired[name] = second;
    }
    if (Object.values(fired).every((at) => at !== undefined)) break;
  }
  return fired;
}

/** Sluice's gate: gate.ts. */
export function eProcess(options: MetricOptions): Judge {
  let state = NEW_METRIC;
  return (interval) => {
    const before = state;
    state = observe(state, interval, options);
    return state !== before && evidence(state) >= 1 / options.alpha;
  };
}

/** What most tools do: rolls back when more than `limit` of the candidate's answers in `window` seconds failed. */
export function fixedThreshold(limit: number, window: number): Judge {
  const last: Arm[] = [];
  let [exposures, failures] = [0, 0];
  return ({ candidate }) => {
    last.push(candidate);
    exposures += candidate.exposures;
    failures += candidate.failures;
    const old = last.length > window ? last.shift() : undefined;
    exposures -= old?.exposures ?? 0;
    failures -= old?.failures ?? 0;
    return last.length >= window && failures > limit * exposures;
  };
}

/**
 * A test for two proportions over everything so far, repeated every second.
 *
 * @param z threshold of significance, e.g. 1.645 for 5%
 */
export function repeatedZTest(z: number): Judge {
  let [ce, cf, se, sf] = [0, 0, 0, 0];
  return ({ candidate, stable }) => {
    ce += candidate.exposures;
    cf += candidate.failures;
    se += stable.exposures;
    sf += stable.failures;
    const pooled = (cf + sf) / Math.max(ce + se, 1);
    const deviation = Math.sqrt(pooled * (1 - pooled) * (1 / Math.max(ce, 1) + 1 / Math.max(se, 1)));
    return ce > 0 && se > 0 && deviation > 0 && (cf / ce - sf / se) / deviation > z;
  };
}

/** Exact up to a mean of 30, then a rounded normal distribution: it draws how many clients come, not how many fail. */
function poisson(mean: number, random: Random): number {
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
function binomial(n: number, p: number, random: Random): number {
  if (p <= 0 || n === 0) return 0;
  if (p >= 1) return n;
  const log = Math.log1p(-p);
  let count = 0;
  for (
    let at = Math.floor(Math.log(1 - random()) / log);
    at < n;
    at += 1 + Math.floor(Math.log(1 - random()) / log)
  ) {
    count++;
  }
  return count;
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
