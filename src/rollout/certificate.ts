/**
 * The certificate of a rollout: everything that its E-values follow from, so that anyone can compute them again without
 * Sluice. scripts/certificate.ts does. Pure.
 */
import { BETS, STAKE_MS, WEIGHTS } from "./gate.ts";
import type { TallyRow } from "./tables.ts";
import type { Metric, Rollout } from "./types.ts";
import { evidenceOf, metricsOf, thresholdOf } from "./verdict.ts";

/** What the rows must lead to. */
export interface Claim {
  /** The E-value of each metric. That of latency is 1 until its thresholds are known. */
  readonly errors: number;
  readonly latency: number;
  /** E-values from which on a metric fails the gate. Only watched metrics have one. */
  readonly thresholds: Readonly<Partial<Record<Metric, number>>>;
  /** `worse` where the E-value of a watched metric is at its threshold, otherwise `open`. */
  readonly verdict: "worse" | "open";
}

export interface Certificate {
  readonly schema: "sluice-certificate-1";
  readonly rollout_id: string;
  readonly worker: string;
  readonly candidate_version_id: string;
  readonly stable_version_id: string;
  /** Of the rollout when the certificate was made. */
  readonly phase: Rollout["phase"];
  readonly reason: string;
  /** From the plan. */
  readonly gates: { readonly alpha: number; readonly margin: number; readonly latency: boolean };
  /** Ratios that stakes are placed on, and the part of α that each metric has. */
  readonly bets: readonly number[];
  readonly weights: Readonly<Record<Metric, number>>;
  /** Period of new stakes, in ms of the rollout's own time. */
  readonly stake_ms: number;
  /** The rollout's own time so far, in ms. */
  readonly elapsed_ms: number;
  /** Thresholds in ms; null while they are not known. Row `latency0` belongs to the first one. */
  readonly slow_ms: readonly number[] | null;
  /** First failures since the start, or since an operator accepted a failed gate. In the order of time. */
  readonly rows: readonly TallyRow[];
  readonly claimed: Claim;
}

/** @param rows of this rollout, in the order of time */
export function certificateOf(worker: string, rollout: Rollout, rows: readonly TallyRow[]): Certificate {
  const { alpha, margin, latency } = rollout.plan.gates;
  return {
    schema: "sluice-certificate-1",
    rollout_id: rollout.id,
    worker,
    candidate_version_id: rollout.candidate.version_id,
    stable_version_id: rollout.stable.version_id,
    phase: rollout.phase,
    reason: rollout.reason,
    gates: { alpha, margin, latency },
    bets: BETS,
    weights: WEIGHTS,
    stake_ms: STAKE_MS,
    elapsed_ms: rollout.elapsed,
    slow_ms: rollout.evidence.slow_ms,
    rows,
    claimed: claimOf(rollout),
  };
}

function claimOf(rollout: Rollout): Claim {
  const watched = metricsOf(rollout);
  const isWorse = watched.some((metric) => evidenceOf(rollout, metric) >= thresholdOf(rollout, metric));
  return {
    errors: evidenceOf(rollout, "errors"),
    latency: evidenceOf(rollout, "latency"),
    thresholds: Object.fromEntries(watched.map((metric) => [metric, thresholdOf(rollout, metric)])),
    verdict: isWorse ? "worse" : "open",
  };
}
