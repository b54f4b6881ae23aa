/**
 * Notices that a version fails more often than it did: something that all versions share may be broken, e.g. a database
 * that the candidate has corrupted. Nothing was drawn by lot here, so this can hold a rollout and never roll it back.
 * Pure.
 *
 * Page's cumulative sum for Poisson counts: the logarithm of the likelihood of three times the rate of the past against
 * that rate, never below 0. The past is everything until an alarm: leaving out what raises the sum would make it look
 * better than it was.
 */

/** How much more often a version must fail. */
const RATIO = 3;
/** Sum from which on a version counts as drifting. */
const ALARM = 12;
/** Largest sum: bounds how long a past drift is remembered. */
const CEILING = 16;
/** A smaller rate of the past counts as this one: what hardly ever failed would otherwise drift for days after a minute's outage. */
const LEAST_RATE = 0.003;
/** Visits of the past that are needed. */
const ENOUGH = 500;

/** State of the detector. */
export interface Drift {
  readonly sum: number;
  /** Visits and failing clients of the past. */
  readonly past: { readonly exposures: number; readonly failures: number };
}

export const NO_DRIFT: Drift = { sum: 0, past: { exposures: 0, failures: 0 } };

export function watchDrift(drift: Drift, exposures: number, failures: number): Drift {
  const { sum, past } = drift;
  if (past.exposures < ENOUGH) return { sum: 0, past: add(past, exposures, failures) };
  const expected = exposures * Math.max(past.failures / past.exposures, LEAST_RATE);
  const next = sum + failures * Math.log(RATIO) - expected * (RATIO - 1);
  const bounded = Math.min(Math.max(next, 0), CEILING);
  return { sum: bounded, past: bounded >= ALARM ? past : add(past, exposures, failures) };
}

function add(past: Drift["past"], exposures: number, failures: number): Drift["past"] {
  return { exposures: past.exposures + exposures, failures: past.failures + failures };
}

export function isDrifting({ sum }: Drift): boolean {
  return sum >= ALARM;
}
