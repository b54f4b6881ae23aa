/**
 * The rollout as a state machine: what an event does to it, and what has to be deployed with that. Pure: the time is passed
 * in. Every transition can be had again from the rollout before it and the event.
 */
import { err, ok, type Result } from "../lib/result.ts";
import type { Phase } from "../versions/types.ts";
import {
  add,
  beginStage,
  evidence,
  goodness,
  type Interval,
  isBroken,
  type MetricOptions,
  NEW_METRIC,
  NEW_SHARE,
  NOTHING,
  observe,
  observeShare,
  shareEvidence,
} from "./gate.ts";
import {
  type Evidence,
  METRICS,
  type Metric,
  type Rollout,
  type RolloutEvent,
  type Stage,
  TERMINAL,
  type Transition,
} from "./types.ts";

/** E-value at which a candidate is taken for good enough: a twice as bad one gets there with a probability of 1 in 20. */
const GOOD = 20;
const TOLERANCE = 2;
/** E-value at which the shares are taken for wrong. */
const SHARE_ALARM = 1_000;

export const NEW_EVIDENCE: Evidence = {
  metrics: { errors: NEW_METRIC, latency: NEW_METRIC },
  share: NEW_SHARE,
  total: { errors: NOTHING, latency: NOTHING },
  stage: { errors: NOTHING, latency: NOTHING },
  slow_ms: null,
};

/** E-value at which a metric ends the rollout: α is shared by those that are watched. */
export function thresholdOf({ plan }: Rollout): number {
  return metricsOf(plan.gates.latency).length / plan.gates.alpha;
}

function metricsOf(latency: boolean): readonly Metric[] {
  return latency ? METRICS : ["errors"];
}

export function stageOf({ plan, stage }: Rollout): Stage {
  return plan.stages[stage] as Stage;
}

/** When the gate has to be asked although nothing came in, in ms since the epoch; undefined where time alone decides nothing. */
export function nextLook(rollout: Rollout): number | undefined {
  if (rollout.phase !== "running") return undefined;
  return rollout.stage_since + stageOf(rollout).soak_seconds * 1000;
}

/** @returns why the event is not possible in the phase, for a sentence that begins with "the rollout" */
export function step(rollout: Rollout, event: RolloutEvent, now: number): Result<Transition, string> {
  const stay = ok<Transition>({ rollout, deploy: null, notice: null });
  if (TERMINAL.has(rollout.phase)) {
    // Whoever says it twice gets the same answer; nothing else can be done with it.
    const same = { abort: "aborted", promote: "promoted" } as const;
    const isSame = (event.type === "abort" || event.type === "promote") && same[event.type] === rollout.phase;
    const isLate = event.type === "look" || event.type === "taken_over";
    return isSame || isLate ? stay : err(`has ended (${rollout.phase})`);
  }
  switch (event.type) {
    case "start":
      return rollout.phase === "pending"
        ? ok(enterStage(rollout, 0, now))
        : err(`has begun (${rollout.phase})`);
    case "look":
      return ok(look(rollout, event, now));
    case "pause":
      return rollout.phase === "paused" ? stay : ok(moveTo(rollout, "paused", "paused by hand"));
    case "resume":
      if (rollout.phase !== "paused") return err(`is not paused (${rollout.phase})`);
      return ok(moveTo(rollout, "running", "resumed by hand"));
    case "approve":
      if (rollout.phase !== "awaiting_approval" && rollout.phase !== "holding") {
        return err(`waits for nobody (${rollout.phase})`);
      }
      return ok(enterStage(forgiven(rollout), rollout.stage + 1, now));
    case "promote":
      return ok(end(rollout, "promoted", "promoted by hand", now));
    case "abort":
      return ok(end(rollout, "aborted", "aborted by hand", now));
    case "taken_over":
      return ok({
        ...end(rollout, "aborted", `another deployment took over (${event.by})`, now),
        deploy: null,
      });
  }
}

function look(before: Rollout, event: Extract<RolloutEvent, { type: "look" }>, now: number): Transition {
  const rollout = { ...before, evidence: learn(before, event) };
  const failing = failureOf(rollout);
  if (failing !== undefined) {
    return rollout.plan.on_fail === "rollback"
      ? end(rollout, "rolled_back", failing, now)
      : hold(rollout, failing);
  }
  if (rollout.phase === "paused" || rollout.phase === "awaiting_approval") return quiet(rollout);
  if (shareEvidence(rollout.evidence.share) >= SHARE_ALARM) {
    return hold(rollout, "clients are not shared out as configured");
  }
  const { soak_seconds, approval } = stageOf(rollout);
  if (now < rollout.stage_since + soak_seconds * 1000) return quiet(rollout);
  const lacking = lackOf(rollout);
  if (lacking !== undefined) return hold(rollout, lacking);
  if (approval === "manual") {
    return { ...moveTo(rollout, "awaiting_approval", "the gate has passed"), notice: "approval" };
  }
  return enterStage(rollout, rollout.stage + 1, now);
}

/** Who approves of a candidate that a gate holds has seen what it holds it for: from now on it is judged by what is new. */
function forgiven(rollout: Rollout): Rollout {
  if (failureOf(rollout) === undefined) return rollout;
  return { ...rollout, evidence: { ...NEW_EVIDENCE, slow_ms: rollout.evidence.slow_ms } };
}

function learn(
  rollout: Rollout,
  { interval, stage: seenIn, shared, slow_ms }: Extract<RolloutEvent, { type: "look" }>,
): Evidence {
  const { alpha, margin } = rollout.plan.gates;
  const options: MetricOptions = { alpha, margin, tolerance: TOLERANCE };
  const { metrics, share, total, stage } = rollout.evidence;
  const byMetric = <T>(make: (metric: Metric) => T) => ({ errors: make("errors"), latency: make("latency") });
  return {
    metrics: byMetric((metric) => observe(metrics[metric], interval[metric], options)),
    // Two looks may overlap, and one of them have gone on to the next stage.
    share: seenIn === rollout.stage ? observeShare(share, shared, stageOf(rollout).percentage / 100) : share,
    total: byMetric((metric) => add(total[metric], interval[metric])),
    stage: byMetric((metric) => add(stage[metric], interval[metric])),
    slow_ms,
  };
}

/** Why the candidate is worse; undefined where nothing says so. */
function failureOf(rollout: Rollout): string | undefined {
  const { metrics, total } = rollout.evidence;
  if (isBroken(total.errors)) return `the candidate is broken: ${describe(total.errors)} failed`;
  for (const metric of metricsOf(rollout.plan.gates.latency)) {
    const e = evidence(metrics[metric]);
    if (e < thresholdOf(rollout)) continue;
    const what = metric === "errors" ? "fails" : "is slow";
    return `the candidate ${what} more often: ${describe(total[metric])} (E = ${e.toPrecision(3)})`;
  }
  return undefined;
}

/** Why it is too early to go on; undefined where it is not. */
function lackOf(rollout: Rollout): string | undefined {
  const { metrics, stage } = rollout.evidence;
  const { candidate } = stage.errors;
  if (candidate.exposures === 0) return "no client has come to the candidate";
  if (candidate.exposures >= stageOf(rollout).min_exposures) return undefined;
  if (metricsOf(rollout.plan.gates.latency).every((metric) => goodness(metrics[metric]) >= GOOD))
    return undefined;
  return `${candidate.exposures} of ${stageOf(rollout).min_exposures} clients have come to the candidate`;
}

function describe({ candidate, stable }: Interval): string {
  const of = ({ failures, exposures }: Interval["stable"]) => `${failures} of ${exposures}`;
  return `${of(candidate)} clients, and ${of(stable)} of the stable version's`;
}

const quiet = (rollout: Rollout): Transition => ({ rollout, deploy: null, notice: null });

function moveTo(rollout: Rollout, phase: Phase, reason: string): Transition {
  return quiet({ ...rollout, phase, reason });
}

/** Said once, however often the gate says it. */
function hold(rollout: Rollout, reason: string): Transition {
  const held = moveTo(rollout, "holding", reason);
  return rollout.phase === "holding" || rollout.phase === "paused" ? held : { ...held, notice: "hold" };
}

function enterStage(rollout: Rollout, index: number, now: number): Transition {
  const next = rollout.plan.stages[index];
  if (next === undefined || next.percentage === 100) {
    return end(
      { ...rollout, stage: Math.min(index, rollout.plan.stages.length - 1) },
      "promoted",
      "every stage has passed",
      now,
    );
  }
  const { metrics } = rollout.evidence;
  const evidenceNow: Evidence = {
    ...rollout.evidence,
    metrics: { errors: beginStage(metrics.errors), latency: beginStage(metrics.latency) },
    // Another share is configured from now on.
    share: NEW_SHARE,
    stage: { errors: NOTHING, latency: NOTHING },
  };
  return {
    rollout: {
      ...rollout,
      phase: "running",
      reason: `stage ${index + 1} of ${rollout.plan.stages.length}`,
      stage: index,
      stage_since: now,
      evidence: evidenceNow,
    },
    deploy: next.percentage,
    notice: "stage",
  };
}

/** Ends a rollout: promoted, the candidate has all traffic; otherwise the stable version has. */
function end(
  rollout: Rollout,
  phase: "promoted" | "rolled_back" | "aborted",
  reason: string,
  now: number,
): Transition {
  const deploy = phase === "promoted" ? 100 : 0;
  const notice = phase === "rolled_back" ? "rollback" : "finish";
  return { rollout: { ...rollout, phase, reason, ended: now }, deploy, notice };
}
