/**
 * Judges whether the candidate fails more often than what it is compared with. Pure: no clock, no I/O, no randomness.
 *
 * The unit is a client's first failure, whenever it comes. Whether a client is the candidate's is drawn by the hash of its
 * key, with the probability π = candidate's share / (candidate's and reference's share) of the split that decided the
 * failed request. If the candidate's code makes no difference, each first failure is the candidate's with the probability
 * π, whatever else happens. A bet on the ratio r multiplies its stake by r / (1 + π(r − 1)) when the failure is the
 * candidate's, and by 1 / (1 + π(r − 1)) when it is the reference's: 1 on average. So the sum of all stakes is a
 * martingale that starts at 1, and reaches 1/α with a probability of at most α (Ville's inequality), however often it is
 * read. docs/gates.md has the null hypothesis, the proof and measurements.
 *
 * After ter Schure, Pérez-Ortiz, Ly, Grünwald, "The Anytime-Valid Logrank Test", NEJSDS 2024, doi 10.51387/24-NEJSDS65. The
 * restarting stakes are the mixture over change points of Shin, Ramdas, Rinaldo, "E-detectors", arXiv 2203.03532.
 */

/** Ratios to bet on. The large ones find a broken candidate in seconds, the small ones find a small regression later. */
export const BETS = [1.5, 2, 3, 5, 10, 30, 100] as const;

/** Part of α for each metric where latency is watched; without it, errors have all of α. Sums to 1. */
export const WEIGHTS = { errors: 0.8, latency: 0.2 } as const;

/** Clients by arm that something happened to, all decided by splits of one `share`. */
export interface Tally {
  /** Probability in (0, 1) with which a client of the two arms is the candidate's. */
  readonly share: number;
  readonly candidate: number;
  readonly reference: number;
}

/** The bets of one metric. */
export interface Stakes {
  /** Natural logarithm of the wealth of each bet of `BETS`; −Infinity (null in JSON) before its first stake. */
  readonly wealth: readonly (number | null)[];
  /** Stakes placed so far. One is placed in each minute of a rollout. */
  readonly placed: number;
}

export const NO_STAKES: Stakes = { wealth: BETS.map(() => null), placed: 0 };

/** Period of new stakes, in ms of the rollout's own time. */
export const STAKE_MS = 60_000;

/**
 * Places the stakes that are due: the j-th has the weight 1 / (j(j + 1)), and all of them sum to 1. Hours of health cannot
 * blind the gate, because the last stake has not lost anything in them.
 *
 * @param elapsed ms since the start of the rollout
 */
export function placeStakes(stakes: Stakes, elapsed: number): Stakes {
  const due = Math.floor(Math.max(elapsed, 0) / STAKE_MS) + 1;
  if (due <= stakes.placed) return stakes;
  // 1/(j(j+1)) + … telescopes.
  const weight = 1 / (stakes.placed + 1) - 1 / (due + 1);
  return {
    wealth: stakes.wealth.map((log) => logSum(log ?? Number.NEGATIVE_INFINITY, Math.log(weight))),
    placed: due,
  };
}

/** The stakes after first failures. @param margin allowed ratio of the failure rates, at least 1 */
export function bet(stakes: Stakes, tallies: readonly Tally[], margin: number): Stakes {
  const failed = tallies.filter(({ candidate, reference }) => candidate + reference > 0);
  if (failed.length === 0) return stakes;
  return {
    ...stakes,
    wealth: stakes.wealth.map((log, i) =>
      log === null ? null : failed.reduce((sum, tally) => sum + gain(tally, margin, BETS[i] as number), log),
    ),
  };
}

/**
 * Growth of a bet that the failure rates have the ratio `r · ratio`, against the hypothesis that they have the ratio
 * `ratio`, in natural logarithms.
 */
function gain({ share, candidate, reference }: Tally, ratio: number, r: number): number {
  const expected = (ratio * share) / (ratio * share + 1 - share);
  return candidate * Math.log(r) - (candidate + reference) * Math.log1p(expected * (r - 1));
}

/** The E-value: evidence that the candidate is worse. Compared with the metric's part of 1/α. */
export function evidence({ wealth, placed }: Stakes): number {
  // What has not been staked yet is still there.
  return meanOfExp(wealth.map((log) => log ?? Number.NEGATIVE_INFINITY)) + 1 / (placed + 1);
}

/** The mean over the thresholds, whose clients are revealed together. */
export function meanEvidence(all: readonly Stakes[]): number {
  return all.length === 0 ? 1 : all.reduce((sum, stakes) => sum + evidence(stakes) / all.length, 0);
}

/** Ratios at which the likelihood is known: 1/64 to 64 in steps of 2^(1/8). */
export const RATIOS: readonly number[] = Array.from({ length: 97 }, (_, i) => 2 ** ((i - 48) / 8));

/** Logarithm of the partial likelihood of first failures at each of `RATIOS`, relative to that of the ratio 1. */
export type Likelihood = readonly number[];

export const NO_LIKELIHOOD: Likelihood = RATIOS.map(() => 0);

export function learnRatio(likelihood: Likelihood, tallies: readonly Tally[]): Likelihood {
  const failed = tallies.filter(({ candidate, reference }) => candidate + reference > 0);
  if (failed.length === 0) return likelihood;
  return likelihood.map((log, i) =>
    failed.reduce((sum, tally) => sum + gain(tally, 1, RATIOS[i] as number), log),
  );
}

/** An interval of the ratio of the failure rates. Unbounded sides are null. */
export interface RatioInterval {
  readonly from: number | null;
  readonly to: number | null;
}

/**
 * The ratios that the failures do not contradict: with the probability 1 − `error`, the true ratio is in all intervals
 * of a rollout, however often they are read. It holds the ratios ρ with mean(L) / L(ρ) < 1 / error, where L is the partial
 * likelihood and the mean is over `RATIOS` (a confidence sequence by the method of mixtures; Robbins 1970).
 */
export function ratioInterval(likelihood: Likelihood, error = 0.05): RatioInterval {
  const largest = Math.max(...likelihood);
  const mean =
    largest + Math.log(likelihood.reduce((sum, log) => sum + Math.exp(log - largest), 0) / likelihood.length);
  const held = RATIOS.filter((_, i) => mean - (likelihood[i] as number) < Math.log(1 / error));
  const [first, last] = [held[0], held.at(-1)];
  return {
    from: first === undefined || first === RATIOS[0] ? null : first,
    to: last === undefined || last === RATIOS.at(-1) ? null : last,
  };
}

/** Odds to bet on against the configured share: from half to twice the expected number of clients. */
const SHARE_BETS = [0.5, 0.67, 0.8, 1.25, 1.5, 2] as const;

/** Evidence that clients are not split as configured (sample-ratio mismatch). Natural logarithms, one per bet. */
export type ShareState = readonly number[];

export const NEW_SHARE: ShareState = SHARE_BETS.map(() => 0);

/** @param tallies new clients, each once in the rollout */
export function observeShare(state: ShareState, tallies: readonly Tally[]): ShareState {
  return state.map((log, i) => tallies.reduce((sum, tally) => sum + gain(tally, 1, SHARE_BETS[i] ?? 1), log));
}

export function shareEvidence(state: ShareState): number {
  return meanOfExp(state);
}

/** Capped to fit a double: evidence that large decided the rollout long before. */
function meanOfExp(logs: readonly number[]): number {
  const largest = Math.max(...logs);
  if (largest === Number.NEGATIVE_INFINITY) return 0;
  const mean = logs.reduce((sum, log) => sum + Math.exp(log - largest), 0) / logs.length;
  return Math.exp(Math.min(largest + Math.log(mean), 700));
}

/** ln(e^x + e^y). */
function logSum(x: number, y: number): number {
  const [small, large] = x < y ? [x, y] : [y, x];
  return large + Math.log1p(Math.exp(small - large));
}

/** Tallies with those of the same share added up. */
export function mergeTallies(x: readonly Tally[], y: readonly Tally[]): readonly Tally[] {
  const merged = new Map<number, Tally>();
  for (const tally of [...x, ...y]) {
    const { candidate = 0, reference = 0 } = merged.get(tally.share) ?? {};
    merged.set(tally.share, {
      share: tally.share,
      candidate: candidate + tally.candidate,
      reference: reference + tally.reference,
    });
  }
  return [...merged.values()];
}
