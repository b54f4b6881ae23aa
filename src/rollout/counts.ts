/** What is counted of a rollout: by arm, and between two looks. Pure. */
import { NO_CPU } from "./cpu.ts";
import type { ArmCounts, Counts, LookCounts } from "./types.ts";

const NONE: ArmCounts = { exposures: 0, failures: 0 };

export const NO_COUNTS: Counts = { candidate: NONE, reference: NONE, beside: NONE, cohort: NONE };

/** @param thresholds number of latency thresholds that clients are judged by */
export const noLook = (thresholds: number): LookCounts => ({
  errors: [],
  latency: Array.from({ length: thresholds }, () => []),
  judged: { candidate: 0, reference: 0 },
  shared: [],
  counts: NO_COUNTS,
  cpu: NO_CPU,
});

export function addCounts(x: Counts, y: Counts): Counts {
  const arm = (a: ArmCounts, b: ArmCounts): ArmCounts => ({
    exposures: a.exposures + b.exposures,
    failures: a.failures + b.failures,
  });
  return {
    candidate: arm(x.candidate, y.candidate),
    reference: arm(x.reference, y.reference),
    beside: arm(x.beside, y.beside),
    cohort: arm(x.cohort, y.cohort),
  };
}

/** Clients that had their first failure on the candidate. */
export function harmed({ candidate, cohort }: Counts): number {
  return candidate.failures + cohort.failures;
}
