/**
 * Estimates the processor time of one request to the candidate, and of one to its baseline. Both run in one process, of
 * which only the sum is known. But chance gives them different numbers of requests from one moment to the next, so least
 * squares over many short times tell the two apart: time ≈ a · candidate's + b · baseline's + c · others'. Pure.
 *
 * There is no term for the process itself, such as d · seconds. What the process takes falls on both versions alike, which
 * makes the ratio smaller. And a process that is always busy uses every second whatever it serves: such a term would explain
 * all of its time, and hide the version that keeps it busy.
 */
import type { CpuSample } from "../versions/types.ts";

/** What has been counted: requests of each, and the processor time. */
const COLUMNS = ["candidate", "baseline", "other", "cpu"] as const;
type Column = (typeof COLUMNS)[number];

const PAIRS = COLUMNS.flatMap((x, i) => COLUMNS.slice(i).map((y) => [x, y] as const));

/** Sums over samples: all that least squares need. */
export interface CpuSums {
  readonly samples: number;
  readonly candidate: number;
  readonly baseline: number;
  /** Weighted products of each pair of columns, in the order of `PAIRS`. */
  readonly products: readonly number[];
}

export const NO_CPU: CpuSums = { samples: 0, candidate: 0, baseline: 0, products: PAIRS.map(() => 0) };

/** Adds a sample. One without a request of either version says nothing. */
export function addSample(sums: CpuSums, { candidate, baseline, other, cpu_ms }: CpuSample): CpuSums {
  if (candidate + baseline === 0) return sums;
  const columns: Readonly<Record<Column, number>> = { candidate, baseline, other, cpu: cpu_ms };
  // The time of n requests varies n times as much as that of one.
  const weight = 1 / (candidate + baseline + other);
  const products = PAIRS.map(([x, y]) => columns[x] * columns[y] * weight);
  return addCpu(sums, { samples: 1, candidate, baseline, products });
}

export function addCpu(x: CpuSums, y: CpuSums): CpuSums {
  return {
    samples: x.samples + y.samples,
    candidate: x.candidate + y.candidate,
    baseline: x.baseline + y.baseline,
    products: x.products.map((each, i) => each + (y.products[i] as number)),
  };
}

/** Processor time of a request, in ms. Of next to nothing, chance can make it negative. */
export interface CpuTimes {
  readonly candidate_ms: number;
  readonly baseline_ms: number;
  /** By how many standard errors the candidate's time is more than `HEAVIER` times the baseline's. */
  readonly deviations: number;
}

/** A candidate that takes this many times the processor time of its baseline is heavier. */
const HEAVIER = 2;
/** Standard errors beyond chance. The null is far away: a candidate of the same code takes once the time, not twice. */
const SURE = 4;
/** Samples, and requests of each version, that an estimate needs. The standard error of fewer is a guess itself. */
const ENOUGH = { samples: 30, requests: 500 };
/** Part of a sum of squares that must be left after the other columns have explained the rest. */
const INDEPENDENT = 1e-9;

/** @returns undefined while there is too little to go by, or the counts never differed */
export function cpuTimes(sums: CpuSums): CpuTimes | undefined {
  const { samples, candidate, baseline } = sums;
  if (samples < ENOUGH.samples || Math.min(candidate, baseline) < ENOUGH.requests) return undefined;
  const product = productsOf(sums);
  const [cc, cb, bb] = [
    product("candidate", "candidate"),
    product("candidate", "baseline"),
    product("baseline", "baseline"),
  ];
  const [ct, bt, tt] = [product("candidate", "cpu"), product("baseline", "cpu"), product("cpu", "cpu")];
  const determinant = cc * bb - cb ** 2;
  if (determinant <= INDEPENDENT * cc * bb) return undefined;
  const a = (ct * bb - bt * cb) / determinant;
  const b = (bt * cc - ct * cb) / determinant;
  const residual = Math.max(tt - a * ct - b * bt, 0) / (samples - (COLUMNS.length - 1));
  const variance = (residual * (bb + 2 * HEAVIER * cb + HEAVIER ** 2 * cc)) / determinant;
  const excess = a - HEAVIER * b;
  return {
    candidate_ms: a,
    baseline_ms: b,
    deviations: variance > 0 ? excess / Math.sqrt(variance) : Math.sign(excess) * SURE,
  };
}

/** The products of two columns, without what the others' requests explain of both. */
function productsOf({ products }: CpuSums): (x: Column, y: Column) => number {
  const of = (x: Column, y: Column) =>
    products[PAIRS.findIndex(([p, q]) => (p === x && q === y) || (p === y && q === x))] as number;
  const others = of("other", "other");
  return (x, y) => of(x, y) - (others === 0 ? 0 : (of(x, "other") * of(y, "other")) / others);
}

/**
 * Whether a request to the candidate takes more than twice the processor time of one to its baseline, beyond chance.
 *
 * @param isKnown whether that was so at the last look. It then stays so until the estimate is twice or less: otherwise a
 *   candidate at the limit would be held and let go at every other look, with a notice each time
 */
export function isHeavier(sums: CpuSums, isKnown = false): boolean {
  const deviations = cpuTimes(sums)?.deviations ?? 0;
  return isKnown ? deviations > 0 : deviations >= SURE;
}
