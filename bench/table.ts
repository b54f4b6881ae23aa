/** The rows of the printed table: a figure, what it is compared with, and its target. */

export interface Row {
  readonly what: string;
  readonly value: string;
  readonly against: string;
  /** The value that the target limits; undefined for a figure without a comparison. */
  readonly ratio: number | undefined;
  readonly target: string;
  readonly met: boolean | undefined;
}

/** A figure, and what it is compared with. */
interface Measured {
  readonly what: string;
  readonly value: string;
  readonly against: string;
  readonly ratio: number;
}

/** A row with an upper bound. */
export function atMost(bound: number, measured: Measured): Row {
  return { ...measured, target: `≤ ${bound.toFixed(2)}`, met: measured.ratio <= bound };
}

/** A row with a lower bound. */
export function atLeast(bound: number, measured: Measured): Row {
  return { ...measured, target: `≥ ${bound.toFixed(2)}`, met: measured.ratio >= bound };
}

/** A row without a target. */
export function report(what: string, value: string, against = "–", ratio?: number): Row {
  return { what, value, against, ratio, target: "–", met: undefined };
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Nearest-rank percentile, the mean of the two middle values for an even count at 50. */
export function percentile(values: readonly number[], p: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (rank: number) => sorted[Math.min(Math.max(rank, 1), sorted.length) - 1] as number;
  if (p === 50 && sorted.length % 2 === 0) return (at(sorted.length / 2) + at(sorted.length / 2 + 1)) / 2;
  return at(Math.ceil((p / 100) * sorted.length));
}

/** The median of the ratios within each round. Both contenders of a round ran on a machine of the same speed. */
export function medianRatio(samples: readonly number[], reference: readonly number[]): number {
  return median(samples.map((sample, round) => sample / (reference[round] ?? Number.NaN)));
}

export function printTable(table: readonly Row[]): void {
  console.log("\n| what | value | against | ratio | target | |\n| --- | --- | --- | --- | --- | --- |");
  for (const { what, value, against, ratio, target, met } of table) {
    const verdict = met === undefined ? "" : met ? "met" : "MISSED";
    console.log(
      `| ${what} | ${value} | ${against} | ${ratio === undefined ? "" : ratio.toFixed(2)} | ${target} | ${verdict} |`,
    );
  }
}
