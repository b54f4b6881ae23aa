/** The arithmetic of the tables. */
import type { Reference } from "../../src/rollout/types.ts";
import type { Harm } from "./harms.ts";

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The exact interval of a probability at 95%, from `count` events of `runs`. */
export function clopperPearson(count: number, runs: number): readonly [number, number] {
  if (count > runs / 2) {
    const [low, high] = clopperPearson(runs - count, runs);
    return [1 - high, 1 - low];
  }
  // Probability of at most k events. Exact in a double as long as few of the runs had one.
  const below = (k: number, p: number) => {
    let term = (1 - p) ** runs;
    let sum = term;
    for (let i = 1; i <= k; i++) {
      term *= ((runs - i + 1) / i) * (p / (1 - p));
      sum += term;
    }
    return sum;
  };
  const solve = (isTooLow: (p: number) => boolean) => {
    let [low, high] = [0, 1 - 1e-12];
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (isTooLow(middle)) low = middle;
      else high = middle;
    }
    return low;
  };
  const lower = count === 0 ? 0 : solve((p) => 1 - below(count - 1, p) < 0.025);
  return [lower, solve((p) => below(count, p) > 0.025)];
}

/**
 * Wald's limit for the mean number of failures until a test that knows the ratio of the failure rates can reject equality,
 * with an error of at most `alpha`: ln(1 / α) over the information of one failure. And the seconds until so many.
 */
export function waldLimit({ limit, percentage }: Harm, reference: Reference, alpha: number) {
  if (limit === undefined) throw new Error("This harm has no limit.");
  const candidate = percentage / 100;
  const compared = reference === "baseline" ? Math.min(candidate, 0.1, 1 - candidate) : 1 - candidate;
  const share = candidate / (candidate + compared);
  const rate = candidate * limit.candidate + compared * limit.reference;
  const part = (candidate * limit.candidate) / rate;
  const information = part * Math.log(part / share) + (1 - part) * Math.log((1 - part) / (1 - share));
  const failures = Math.log(1 / alpha) / information;
  return { failures, seconds: failures / (rate * limit.requests) };
}
