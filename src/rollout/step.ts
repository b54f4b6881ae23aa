/**
 * The rollout as a state machine: the next state for an event, and the deployment that goes with it. Pure: the time is
 * passed in. Replaying an event on the previous state gives the same transition.
 */
import { err, ok, type Result } from "../lib/result.ts";
import { harmed } from "./counts.ts";
import { beginStage, learn, NEW_EVIDENCE, settleAll } from "./learning.ts";
import {
  type Look,
  type Rollout,
  type RolloutEvent,
  TERMINAL,
  type Transition,
  type Waiting,
} from "./types.ts";
import { alarmOf, failureOf, isHeavy, isRelapsing, lackOf, lastCompared, stageOf } from "./verdict.ts";

const RELAPSE = "the candidate fails more often than it did";

/** When time alone may change something, in ms since the epoch; undefined where it decides nothing. */
export function nextLook(rollout: Rollout): number | undefined {
  const { phase, clock, soaked, elapsed, evidence, plan } = rollout;
  const due = evidence.unsettled[0]?.due;
  const settles =
    due === undefined || plan.gates.require !== "evidence" ? undefined : clock + Math.max(due - elapsed, 0);
  if (phase === "holding") return settles;
  if (phase !== "running") return undefined;
  const soaks = clock + Math.max(stageOf(rollout).soak_seconds * 1000 - soaked, 0);
  return Math.min(soaks, settles ?? Number.POSITIVE_INFINITY);
}

/** @returns the transition, or why the event is refused as the rest of a sentence that begins with "the rollout" */
export function step(before: Rollout, event: RolloutEvent, now: number): Result<Transition, string> {
  if (TERMINAL.has(before.phase)) return late(before, event);
  const rollout = tick(before, now);
  switch (event.type) {
    case "start":
      return rollout.phase === "pending"
        ? ok(enterStage(rollout, 0, now))
        : err(`has already started (${rollout.phase})`);
    case "look":
      return ok(look(rollout, event, now));
    case "pause":
      if (rollout.phase === "paused") return ok(quiet(rollout));
      return ok(quiet({ ...rollout, phase: "paused", reason: "paused by an operator", waiting: "operator" }));
    case "resume":
      if (rollout.phase !== "paused") return err(`is not paused (${rollout.phase})`);
      return ok(quiet({ ...rollout, phase: "running", reason: "resumed by an operator", waiting: "time" }));
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
    case "follow":
      return ok(follow(rollout, event, now));
    case "taken_over": {
      const why = `another deployment took over (${event.by})`;
      return ok({ ...end(rollout, "aborted", why, now), deploy: null });
    }
  }
}

/** Repeating the command that ended the rollout succeeds. Every other command is refused. */
function late(rollout: Rollout, event: RolloutEvent): Result<Transition, string> {
  const same = { abort: "aborted", promote: "promoted" } as const;
  const isSame = (event.type === "abort" || event.type === "promote") && same[event.type] === rollout.phase;
  const isLate = event.type === "look" || event.type === "taken_over" || event.type === "follow";
  return isSame || isLate ? ok(quiet(rollout)) : err(`has ended (${rollout.phase})`);
}

/** Time goes on, or stands still while the clock is behind. A pause is no time in the stage. */
function tick(rollout: Rollout, now: number): Rollout {
  const passed = Math.max(now - rollout.clock, 0);
  const soaked = rollout.phase === "paused" ? rollout.soaked : rollout.soaked + passed;
  return { ...rollout, clock: now, elapsed: rollout.elapsed + passed, soaked };
}

function look(before: Rollout, event: Look, now: number): Transition {
  const rollout = { ...before, evidence: learn(before, event) };
  const failing = rollout.failed ?? failureOf(rollout);
  if (failing !== undefined) {
    if (rollout.plan.on_fail === "rollback") return end(rollout, "rolled_back", failing, now);
    return hold({ ...rollout, failed: failing }, failing, "operator");
  }
  if (rollout.phase === "paused" || rollout.phase === "awaiting_approval") return quiet(rollout);
  const alarm = alarmOf(rollout);
  if (alarm !== undefined) return hold(rollout, alarm, "operator");
  const follows = rollout.peer?.leads === false;
  // Its leader is gone: nobody but an operator can move it.
  if (follows && event.lacks !== null) return hold(rollout, event.lacks.why, "operator");
  // The leader goes back with both.
  if (isRelapsing(rollout)) return follows ? hold(rollout, RELAPSE, "operator") : reopen(rollout, now);
  const { soak_seconds, approval } = stageOf(rollout);
  if (rollout.soaked < soak_seconds * 1000) return quiet(goOn(rollout, "time"));
  const lacking = lackOf(rollout);
  if (lacking !== undefined) return hold(rollout, lacking, "traffic");
  if (event.lacks !== null) return hold(rollout, event.lacks.why, event.lacks.waiting);
  if (event.frozen_until !== null && event.frozen_until > now) {
    return hold(rollout, `no stage begins before ${new Date(event.frozen_until).toISOString()}`, "window");
  }
  if (follows) return quiet(goOn(rollout, "traffic"));
  if (approval === "manual") {
    const waiting = { phase: "awaiting_approval", reason: "the gate passed", waiting: "operator" } as const;
    return { ...quiet({ ...rollout, ...waiting }), notice: "approval" };
  }
  return enterStage(rollout, rollout.stage + 1, now);
}

/** What made it hold is over. */
function goOn(rollout: Rollout, waiting: Waiting): Rollout {
  return rollout.phase === "holding"
    ? { ...rollout, phase: "running", reason: stageText(rollout), waiting }
    : { ...rollout, waiting };
}

/**
 * Approving a failing candidate accepts the evidence so far: from then on the gate judges only new failures. Approving one
 * that is held for its processor time accepts that, because no later stage makes it less.
 */
function forgiven(rollout: Rollout): Rollout {
  const { slow_ms, total, drift, bake, cpu } = rollout.evidence;
  // A rollout that is not held has not told its operator.
  const isAccepted = rollout.phase === "holding" && isHeavy(rollout);
  const cpu_alarm = isAccepted ? "accepted" : rollout.evidence.cpu_alarm;
  if (rollout.failed === null) return { ...rollout, evidence: { ...rollout.evidence, cpu_alarm } };
  const kept = { slow_ms, total, drift, bake, cpu, cpu_alarm };
  return { ...rollout, failed: null, evidence: { ...NEW_EVIDENCE, ...kept, accepted: harmed(total) } };
}

const quiet = (rollout: Rollout): Transition => ({ rollout, deploy: null, notice: null });

/** Sends one notice, however often the gate finds the same. A paused rollout stays paused. */
function hold(rollout: Rollout, reason: string, waiting: Waiting): Transition {
  if (rollout.phase === "paused") return quiet(rollout);
  const held = quiet({ ...rollout, phase: "holding", reason, waiting });
  return rollout.phase === "holding" ? held : { ...held, notice: "hold" };
}

/** The leader of a linked pair decides; this one goes with it. */
function follow(
  rollout: Rollout,
  { stage, phase, why }: Extract<RolloutEvent, { type: "follow" }>,
  now: number,
): Transition {
  if (phase === "promoted" || phase === "rolled_back" || phase === "aborted")
    return end({ ...rollout, stage }, phase, why, now);
  if (stage === rollout.stage) return quiet(rollout);
  // The leader goes on in spite of a failed gate where its operator has approved that.
  return enterStage(stage > rollout.stage ? forgiven(rollout) : rollout, stage, now);
}

/** Back to the last stage in which the candidate was compared: whether it is to blame is decided there. */
function reopen(rollout: Rollout, now: number): Transition {
  const earlier = lastCompared(rollout);
  if (earlier < 0) return hold(rollout, RELAPSE, "operator");
  const { rollout: entered, ...rest } = enterStage(rollout, earlier, now);
  return { ...rest, rollout: { ...entered, reason: `${RELAPSE}: ${entered.reason} again` } };
}

function enterStage(rollout: Rollout, index: number, now: number): Transition {
  const next = rollout.plan.stages[index];
  const isOver = next?.percentage === 100 && next.soak_seconds === 0 && next.approval === "auto";
  if (next === undefined || isOver) {
    const stage = Math.min(index, rollout.plan.stages.length - 1);
    return end({ ...rollout, stage }, "promoted", "every stage passed", now);
  }
  const entered: Rollout = {
    ...rollout,
    phase: "running",
    waiting: "time",
    failed: null,
    stage: index,
    stage_since: now,
    soaked: 0,
    evidence: beginStage(rollout.evidence),
  };
  return { rollout: { ...entered, reason: stageText(entered) }, deploy: next.percentage, notice: "stage" };
}

function stageText({ stage, plan }: Rollout): string {
  return `stage ${stage + 1} of ${plan.stages.length}`;
}

/** Ends a rollout. All traffic goes to the candidate where it was promoted, otherwise to the stable version. */
function end(
  rollout: Rollout,
  phase: "promoted" | "rolled_back" | "aborted",
  reason: string,
  now: number,
): Transition {
  const evidence = settleAll(rollout.evidence);
  const ended: Rollout = { ...rollout, phase, reason, ended: now, waiting: null, evidence };
  return {
    rollout: ended,
    deploy: phase === "promoted" ? 100 : 0,
    notice: phase === "rolled_back" ? "rollback" : "finish",
  };
}
