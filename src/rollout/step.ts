/**
 * The rollout as a state machine: the next state for an event, and the deployment that goes with it. Pure: the time is
 * passed in. Replaying an event on the previous state gives the same transition.
 */
import { err, ok, type Result } from "../lib/result.ts";
import type { Phase } from "../versions/types.ts";
import {
  add,
  beginStage,
  evidence,
  goodness,
  type Interval,
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

/** E-value at which a candidate is good enough. One that fails twice as often reaches it in 1 of 20 rollouts. */
const GOOD = 20;
const TOLERANCE = 2;
/** E-value at which the observed split counts as wrong. */
const SHARE_ALARM = 1_000;

export const NEW_EVIDENCE: Evidence = {
  metrics: { errors: NEW_METRIC, latency: NEW_METRIC },
  share: NEW_SHARE,
  total: { errors: NOTHING, latency: NOTHING },
  stage: { errors: NOTHING, latency: NOTHING },
  slow_ms: null,
};

/** E-value at which a metric fails the gate. The watched metrics share α. */
export function thresholdOf({ plan }: Rollout): number {
  return metricsOf(plan.gates.latency).length / plan.gates.alpha;
}

function metricsOf(latency: boolean): readonly Metric[] {
  return latency ? METRICS : ["errors"];
}

export function stageOf({ plan, stage }: Rollout): Stage {
  return plan.stages[stage] as Stage;
}

/** When the gate is due without new clients, in ms since the epoch; undefined while time alone decides nothing. */
export function nextLook(rollout: Rollout): number | undefined {
  if (rollout.phase !== "running") return undefined;
  return rollout.stage_since + stageOf(rollout).soak_seconds * 1000;
}

/** @returns the transition, or why the event is refused as the rest of a sentence that begins with "the rollout" */
export function step(rollout: Rollout, event: RolloutEvent, now: number): Result<Transition, string> {
  const stay = ok<Transition>({ rollout, deploy: null, notice: null });
  if (TERMINAL.has(rollout.phase)) {
    // Repeating the command that ended the rollout succeeds. Every other command is refused.
    const same = { abort: "aborted", promote: "promoted" } as const;
    const isSame = (event.type === "abort" || event.type === "promote") && same[event.type] === rollout.phase;
    const isLate = event.type === "look" || event.type === "taken_over";
    return isSame || isLate ? stay : err(`has ended (${rollout.phase})`);
  }
  switch (event.type) {
    case "start":
      return rollout.phase === "pending"
        ? ok(enterStage(rollout, 0, now))
        : err(`has already started (${rollout.phase})`);
    case "look":
      return ok(look(rollout, event, now));
    case "pause":
      return rollout.phase === "paused" ? stay : ok(moveTo(rollout, "paused", "paused by an operator", now));
    case "resume":
      if (rollout.phase !== "paused") return err(`is not paused (${rollout.phase})`);
      return ok(moveTo(rollout, "running", "resumed by an operator", now));
    case "approve":
      if (rollout.phase !== "awaiting_approval" && rollout.phase !== "holding") {
        return err(`is not waiting for approval (${rollout.phase})`);
      }
      return ok(enterStage(forgiven(rollout), rollout.stage + 1, now));
    case "promote":
      return ok(end(rollout, "promoted", "promoted by an operator", now));
    case "abort":
      return ok(end(rollout, "aborted", "aborted by an operator", now));
    case "harmed":
      return ok(end(rollout, "rolled_back", event.why, now));
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
      : hold(rollout, failing, now);
  }
  if (rollout.phase === "paused" || rollout.phase === "awaiting_approval") return quiet(rollout);
  if (shareEvidence(rollout.evidence.share) >= SHARE_ALARM) {
    return hold(rollout, "clients are not split as configured", now);
  }
  const { soak_seconds, approval } = stageOf(rollout);
  if (now < rollout.stage_since + soak_seconds * 1000) return quiet(rollout);
  const lacking = lackOf(rollout);
  if (lacking !== undefined) return hold(rollout, lacking, now);
  if (approval === "manual") {
    return { ...moveTo(rollout, "awaiting_approval", "the gate passed", now), notice: "approval" };
  }
  return enterStage(rollout, rollout.stage + 1, now);
}

/** Approving a failing candidate accepts the evidence so far: from then on the gate judges only new clients. */
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
    // Looks can overlap: another one may have entered the next stage since these clients were counted.
    share: seenIn === rollout.stage ? observeShare(share, shared, stageOf(rollout).percentage / 100) : share,
    total: byMetric((metric) => add(total[metric], interval[metric])),
    stage: byMetric((metric) => add(stage[metric], interval[metric])),
    slow_ms,
  };
}

/** Why the candidate fails the gate; undefined where it does not. */
function failureOf(rollout: Rollout): string | undefined {
  const { metrics, total } = rollout.evidence;
  for (const metric of metricsOf(rollout.plan.gates.latency)) {
    const e = evidence(metrics[metric]);
    if (e < thresholdOf(rollout)) continue;
    const what = metric === "errors" ? "fails" : "is slow";
    return `the candidate ${what} more often: ${describe(total[metric])} (E = ${e.toPrecision(3)})`;
  }
  return undefined;
}

/** Why it is too early for the next stage; undefined where it is not. */
function lackOf(rollout: Rollout): string | undefined {
  const { metrics, stage } = rollout.evidence;
  const { candidate } = stage.errors;
  if (candidate.exposures === 0) return "no client has used the candidate in this stage";
  if (candidate.exposures >= stageOf(rollout).min_exposures) return undefined;
  if (metricsOf(rollout.plan.gates.latency).every((metric) => goodness(metrics[metric]) >= GOOD))
    return undefined;
  return `${candidate.exposures} of ${stageOf(rollout).min_exposures} required clients have used the candidate`;
}

function describe({ candidate, stable }: Interval): string {
  const of = ({ failures, exposures }: Interval["stable"]) => `${failures} of ${exposures}`;
  return `${of(candidate)} clients, against ${of(stable)} on the stable version`;
}

const quiet = (rollout: Rollout): Transition => ({ rollout, deploy: null, notice: null });

/** A pause is no time in the stage: with its end, the stage began later by as much. */
function moveTo(rollout: Rollout, phase: Phase, reason: string, now: number): Transition {
  const paused = Math.max(now - (rollout.paused_since ?? now), 0);
  const stage_since = rollout.stage_since + paused;
  return quiet({ ...rollout, phase, reason, stage_since, paused_since: phase === "paused" ? now : null });
}

/** Sends one notice, however often the gate finds the same. */
function hold(rollout: Rollout, reason: string, now: number): Transition {
  const held = moveTo(rollout, "holding", reason, now);
  return rollout.phase === "holding" || rollout.phase === "paused" ? held : { ...held, notice: "hold" };
}

function enterStage(rollout: Rollout, index: number, now: number): Transition {
  const next = rollout.plan.stages[index];
  if (next === undefined || next.percentage === 100) {
    return end(
      { ...rollout, stage: Math.min(index, rollout.plan.stages.length - 1) },
      "promoted",
      "every stage passed",
      now,
    );
  }
  const { metrics } = rollout.evidence;
  const evidenceNow: Evidence = {
    ...rollout.evidence,
    metrics: { errors: beginStage(metrics.errors), latency: beginStage(metrics.latency) },
    // This stage has another split.
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

/** Ends a rollout. All traffic goes to the candidate where it was promoted, otherwise to the stable version. */
function end(
  rollout: Rollout,
  phase: "promoted" | "rolled_back" | "aborted",
  reason: string,
  now: number,
): Transition {
  const deploy = phase === "promoted" ? 100 : 0;
  const notice = phase === "rolled_back" ? "rollback" : "finish";
  return { rollout: { ...rollout, phase, reason, ended: now, paused_since: null }, deploy, notice };
}
