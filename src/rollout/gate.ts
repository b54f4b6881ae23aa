/**
 * Whether the candidate is worse than the stable version, good enough to get more traffic, or not known yet. Pure: no clock, no
 * I/O, no randomness.
 *
 * The statistic is an e-process: a bet against "the candidate fails no more often than the stable version". In an interval with
 * c and s new clients and fc and fs failures among them, each failure falls on the candidate with a probability of at most
 * π = c / (c + s) where that is true, whatever the rate of failures is doing meanwhile. A bet on the ratio r multiplies the stake
 * by r for a failure of the candidate and divides it by 1 + π(r − 1) for any failure. The mean of the bets is a supermartingale
 * that begins at 1, so the probability that it ever reaches 1/α is at most α (Ville's inequality): at any look, any ramp, any
 * traffic, and with any shared rate of failures that moves. docs/gates.md has the proof, the assumptions and what was measured.
 * After Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data", arXiv 2011.03567.
 */

/** New clients of an interval on one version, and how many of them failed. */
export interface Arm {
  readonly exposures: number;
  readonly failures: number;
}

/** What came in between two looks. Each client counts once in a rollout, with its first answer. */
export interface Interval {
  readonly candidate: Arm;
  readonly stable: Arm;
}

/** Ratios that are bet on: the last ones see a broken candidate in seconds, the first ones a small regression in time. */
const BETS = [1.5, 2, 3, 5, 10, 30] as const;
/** Odds that are bet on against the configured share: half to twice as many clients as there should be. */
const SHARE_BETS = [0.5, 0.67, 0.8, 1.25, 1.5, 2] as const;

/** How a metric is judged. */
export interface MetricOptions {
  /** Probability of a false rollback by this metric over a whole rollout, in (0, 1). */
  readonly alpha: number;
  /** How many times the stable version's failures are allowed, at least 1. */
  readonly margin: number;
  /** A candidate that is this many times as bad must not be taken for a good one. More than 1. */
  readonly tolerance: number;
}

/** Everything that is remembered of a metric. Natural logarithms of the stakes. */
export interface MetricState {
  /** One per bet that the candidate is worse. */
  readonly worse: readonly number[];
  /** The bet that it is good enough; begins anew with each stage. */
  readonly good: number;
}

export const NEW_METRIC: MetricState = { worse: BETS.map(() => 0), good: 0 };

/** The metric after one more interval. One without clients, or without failures, changes nothing. */
export function observe(state: MetricState, interval: Interval, options: MetricOptions): MetricState {
  const { candidate, stable } = interval;
  const clients = candidate.exposures + stable.exposures;
  const failures = candidate.failures + stable.failures;
  if (clients === 0 || failures === 0) return state;
  const share = candidate.exposures / clients;
  const allowed = scaled(share, options.margin);
  const bad = scaled(share, options.tolerance);
  return {
    worse: state.worse.map((log, i) => log + gain(candidate.failures, failures, allowed, BETS[i] ?? 1)),
    good: state.good + gain(candidate.failures, failures, bad, 1 / options.tolerance),
  };
}

/** For a new stage: what was learned of a smaller share is no reason to go on from this one. */
export function beginStage(state: MetricState): MetricState {
  return { ...state, good: 0 };
}

/** Growth of a bet on the ratio r, in natural logarithms. @param share of the failures that falls on the candidate under the null */
function gain(candidateFailures: number, failures: number, share: number, r: number): number {
  return candidateFailures * Math.log(r) - failures * Math.log1p(share * (r - 1));
}

/** Share of the failures that a candidate has which fails `ratio` times as often. */
function scaled(share: number, ratio: number): number {
  return (ratio * share) / (ratio * share + 1 - share);
}

/** The E-value: evidence that the candidate is worse. Compared with 1/α. */
export function evidence({ worse }: MetricState): number {
  return meanOfExp(worse);
}

/** Evidence that the candidate is less than `tolerance` times as bad. */
export function goodness({ good }: MetricState): number {
  return Math.exp(good);
}

/** Evidence that clients are not shared out as configured (sample-ratio mismatch). Natural logarithms, one per bet. */
export type ShareState = readonly number[];

export const NEW_SHARE: ShareState = SHARE_BETS.map(() => 0);

/** @param share of the candidate as configured, in (0, 1) */
export function observeShare(state: ShareState, { candidate, stable }: Interval, share: number): ShareState {
  const clients = candidate.exposures + stable.exposures;
  if (clients === 0) return state;
  return state.map((log, i) => log + gain(candidate.exposures, clients, share, SHARE_BETS[i] ?? 1));
}

export function shareEvidence(state: ShareState): number {
  return meanOfExp(state);
}

/** Never more than a double can hold: what is that large has been decided long ago. */
function meanOfExp(logs: readonly number[]): number {
  const largest = Math.max(...logs);
  const mean = logs.reduce((sum, log) => sum + Math.exp(log - largest), 0) / logs.length;
  return Math.exp(Math.min(largest + Math.log(mean), 700));
}

/** A candidate that fails this often after this many clients is broken, where the stable version does not fail likewise. */
const FLOOR = { exposures: 20, share: 0.5, stableShare: 0.25 } as const;

/** @param total of the rollout so far */
export function isBroken({ candidate, stable }: Interval): boolean {
  const fails = (arm: Arm, share: number) => arm.exposures > 0 && arm.failures >= share * arm.exposures;
  return (
    candidate.exposures >= FLOOR.exposures &&
    fails(candidate, FLOOR.share) &&
    !fails(stable, FLOOR.stableShare)
  );
}

export function add(x: Interval, y: Interval): Interval {
  const arm = (a: Arm, b: Arm): Arm => ({
    exposures: a.exposures + b.exposures,
    failures: a.failures + b.failures,
  });
  return { candidate: arm(x.candidate, y.candidate), stable: arm(x.stable, y.stable) };
}

export const NOTHING: Interval = {
  candidate: { exposures: 0, failures: 0 },
  stable: { exposures: 0, failures: 0 },
};
