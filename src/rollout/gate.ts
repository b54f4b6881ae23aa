/**
 * Judges whether the candidate is worse than the stable version, good enough for more traffic, or neither yet. Pure: no
 * clock, no I/O, no randomness.
 *
 * The statistic is an e-process: a bet against "the candidate fails no more often than the stable version". Take an
 * interval with c and s new clients, fc and fs of which failed. If the statement is true, each failure is the
 * candidate's with a probability of at most π = c / (c + s), whatever the failure rate does. A bet on the ratio r
 * multiplies its stake by r for each failure of the candidate, and divides it by 1 + π(r − 1) for each failure of
 * either version. The mean of the bets is a supermartingale that starts at 1, so it ever reaches 1/α with a probability
 * of at most α (Ville's inequality). This holds for any number of looks, any ramp, any traffic, and any failure rate
 * that both versions share. docs/gates.md has the proof, the assumptions and measurements. After Lindon and Malek,
 * "Anytime-Valid Inference for Multinomial Count Data", arXiv 2011.03567.
 */

/** The new clients of one version in an interval, and how many of them failed. */
export interface Arm {
  readonly exposures: number;
  readonly failures: number;
}

/** The clients counted between two looks. Each client counts once in a rollout, with its first answer. */
export interface Interval {
  readonly candidate: Arm;
  readonly stable: Arm;
}

/** Ratios to bet on. The large ones find a broken candidate in seconds, the small ones find a small regression later. */
const BETS = [1.5, 2, 3, 5, 10, 30] as const;
/** Odds to bet on against the configured share: from half to twice the expected number of clients. */
const SHARE_BETS = [0.5, 0.67, 0.8, 1.25, 1.5, 2] as const;

/** How a metric is judged. */
export interface MetricOptions {
  /** Probability of a false rollback by this metric over a whole rollout, in (0, 1). */
  readonly alpha: number;
  /** Allowed ratio of the candidate's failure rate to the stable version's, at least 1. */
  readonly margin: number;
  /** A candidate that fails this many times as often must not pass as good. More than 1. */
  readonly tolerance: number;
}

/** The state of a metric: natural logarithms of the stakes. */
export interface MetricState {
  /** One per bet that the candidate is worse. */
  readonly worse: readonly number[];
  /** The bet that it is good enough. Starts again with each stage. */
  readonly good: number;
}

export const NEW_METRIC: MetricState = { worse: BETS.map(() => 0), good: 0 };

/** The metric after one more interval. An interval without clients or without failures changes nothing. */
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

/** For a new stage: evidence from a smaller share is no reason to leave this stage early. */
export function beginStage(state: MetricState): MetricState {
  return { ...state, good: 0 };
}

/**
 * Growth of a bet on the ratio r, in natural logarithms.
 *
 * @param share the candidate's expected share of the failures under the null hypothesis
 */
function gain(candidateFailures: number, failures: number, share: number, r: number): number {
  return candidateFailures * Math.log(r) - failures * Math.log1p(share * (r - 1));
}

/** Expected share of the failures for a candidate that fails `ratio` times as often. @param share of the clients */
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

/** Evidence that clients are not split as configured (sample-ratio mismatch). Natural logarithms, one per bet. */
export type ShareState = readonly number[];

export const NEW_SHARE: ShareState = SHARE_BETS.map(() => 0);

/** @param share configured for the candidate, in (0, 1) */
export function observeShare(state: ShareState, { candidate, stable }: Interval, share: number): ShareState {
  const clients = candidate.exposures + stable.exposures;
  if (clients === 0) return state;
  return state.map((log, i) => log + gain(candidate.exposures, clients, share, SHARE_BETS[i] ?? 1));
}

export function shareEvidence(state: ShareState): number {
  return meanOfExp(state);
}

/** Capped to fit a double: evidence that large decided the rollout long before. */
function meanOfExp(logs: readonly number[]): number {
  const largest = Math.max(...logs);
  const mean = logs.reduce((sum, log) => sum + Math.exp(log - largest), 0) / logs.length;
  return Math.exp(Math.min(largest + Math.log(mean), 700));
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
