/** What the evidence says about the next stage: that the candidate fails, that something is odd, or what is missing. Pure. */
import { harmed } from "./counts.ts";
import { cpuTimes } from "./cpu.ts";
import { isDrifting } from "./drift.ts";
import { evidence, meanEvidence, ratioInterval, shareEvidence, WEIGHTS } from "./gate.ts";
import { settleAll } from "./learning.ts";
import { METRICS, type Metric, type Rollout, type Stage } from "./types.ts";

/** A candidate that fails this many times as often as the reference must not pass where a plan requires evidence. */
const TOLERANCE = 2;
/** E-value at which the observed split counts as wrong. */
const SHARE_ALARM = 1_000;
/** Without the times of the stable version, slow answers would go unseen. */
export const LACKS_TIMES = "too few clients of the stable version to know how long its answers take";
const UNKNOWN_RATIO = "an unknown number of times as often";
/** Clients of the cohort with a failure at which its stage holds. Nobody drew them by lot, so nothing can be proved by them. */
const COHORT_ALARM = 3;

export function stageOf({ plan, stage }: Rollout): Stage {
  return plan.stages[stage] as Stage;
}

/** Whether two arms are compared: at 0% and at 100% there is only one. */
export function isCompared(rollout: Rollout): boolean {
  const { percentage } = stageOf(rollout);
  return percentage > 0 && percentage < 100;
}

/** Index of the last stage in which two arms are compared; -1 where there is none. */
export function lastCompared(rollout: Rollout): number {
  return rollout.plan.stages.findLastIndex((_, stage) => isCompared({ ...rollout, stage }));
}

export function metricsOf({ plan }: Rollout): readonly Metric[] {
  return plan.gates.latency ? METRICS : ["errors"];
}

/** E-value at which a metric fails the gate. The watched metrics share α. */
export function thresholdOf({ plan }: Rollout, metric: Metric): number {
  return 1 / (plan.gates.alpha * (plan.gates.latency ? WEIGHTS[metric] : 1));
}

/** The E-value of a metric. */
export function evidenceOf({ evidence: known }: Rollout, metric: Metric): number {
  return metric === "errors" ? evidence(known.errors) : meanEvidence(known.latency);
}

/** Why the candidate fails the gate; undefined where it does not. */
export function failureOf(rollout: Rollout): string | undefined {
  const { total, accepted } = rollout.evidence;
  const { max_harmed } = rollout.plan.gates;
  for (const metric of metricsOf(rollout)) {
    const e = evidenceOf(rollout, metric);
    if (e < thresholdOf(rollout, metric)) continue;
    const what = metric === "errors" ? `fails ${moreText(rollout)}` : "is slow more often";
    return `the candidate ${what}: ${describe(rollout, metric)} (E = ${e.toPrecision(3)})`;
  }
  const count = harmed(total) - accepted;
  if (max_harmed === null || count < max_harmed) return undefined;
  return `${clients(count)} had a failure on the candidate, and the plan allows fewer than ${max_harmed}`;
}

/** What is wrong beside the candidate itself, so that the rollout must wait; undefined for nothing. */
export function alarmOf(rollout: Rollout): string | undefined {
  const { share, drift, stage } = rollout.evidence;
  if (shareEvidence(share) >= SHARE_ALARM) return "clients are not split as configured";
  if (isDrifting(drift)) {
    return "the stable version fails more often than it did: something that both versions share may be broken";
  }
  if (stageOf(rollout).percentage === 0 && stage.cohort.failures >= COHORT_ALARM) {
    return `${clients(stage.cohort.failures)} of the cohort had a failure`;
  }
  return isHeavy(rollout) ? heavyText(rollout) : undefined;
}

/** Whether the candidate takes too much processor time, and no operator has accepted that. */
export function isHeavy({ plan, evidence: { cpu_alarm } }: Rollout): boolean {
  return plan.gates.cpu && cpu_alarm === "raised";
}

function heavyText({ evidence: { cpu } }: Rollout): string {
  const { candidate_ms = 0, baseline_ms = 0 } = cpuTimes(cpu) ?? {};
  const ms = (time: number) => `${Number(Math.max(time, 0).toPrecision(2))} ms`;
  return `a request takes ${ms(candidate_ms)} of processor time on the candidate, and ${ms(baseline_ms)} on the stable version`;
}

/** Whether the candidate fails more often at 100% than it did before. */
export function isRelapsing(rollout: Rollout): boolean {
  return stageOf(rollout).percentage === 100 && isDrifting(rollout.evidence.bake);
}

/** Why it is too early for the next stage; undefined where it is not. */
export function lackOf(rollout: Rollout): string | undefined {
  const { percentage, min_exposures } = stageOf(rollout);
  const { stage, slow_ms } = rollout.evidence;
  const { exposures } = percentage === 0 ? stage.cohort : stage.candidate;
  if (exposures === 0 && percentage < 100) return "no client has used the candidate in this stage";
  if (exposures < min_exposures) return `${exposures} of ${min_exposures} required visits to the candidate`;
  if (!isCompared(rollout)) return undefined;
  if (rollout.plan.gates.latency && slow_ms === null) {
    return LACKS_TIMES;
  }
  if (rollout.plan.gates.require === "evidence") return evidenceLack(rollout);
  return undefined;
}

function evidenceLack(rollout: Rollout): string | undefined {
  const { to } = ratioInterval(rollout.evidence.ratio);
  if (to !== null && to < TOLERANCE) return undefined;
  return `the plan requires evidence that the candidate fails less than twice as often; so far it fails ${ratioText(rollout)}`;
}

/** The effect, e.g. `0.8 to 1.3 times as often`. */
export function ratioText({ evidence: known }: Pick<Rollout, "evidence">): string {
  const { from, to } = ratioInterval(known.ratio);
  const number = (ratio: number) => String(Number(ratio.toPrecision(2)));
  if (from === null && to === null) return UNKNOWN_RATIO;
  if (to === null) return `at least ${number(from ?? 0)} times as often`;
  if (from === null) return `at most ${number(to)} times as often`;
  return `${number(from)} to ${number(to)} times as often`;
}

/** The effect for a candidate that has failed the gate, by all of its failures. */
function moreText({ evidence: known }: Rollout): string {
  const text = ratioText({ evidence: settleAll(known) });
  return text === UNKNOWN_RATIO ? "more often" : text;
}

/** The counts behind a metric, as a part of a sentence. */
export function describe({ evidence: { total, slow } }: Rollout, metric: Metric): string {
  if (metric === "errors") {
    const { candidate, reference } = total;
    const of = (arm: typeof candidate) => `${clients(arm.failures)} in ${arm.exposures} visits`;
    return `${of(candidate)}, against ${of(reference)} on the stable version`;
  }
  const of = (arm: "candidate" | "reference") => `${slow[arm].at(-1) ?? 0} of ${slow.clients[arm]}`;
  return `${of("candidate")} clients beyond the stable version's slowest answers, against ${of("reference")}`;
}

function clients(count: number): string {
  return count === 1 ? "1 client" : `${count} clients`;
}
