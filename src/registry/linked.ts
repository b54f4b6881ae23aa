/**
 * Linked rollouts: two versions of two Workers that move together. Each Worker's registry has a rollout of its own. The
 * leader's decides about stages and ends. The follower's has the same stages and gates, judges its own candidate, and goes
 * where the leader is. Here is what each says to the other. Pure.
 */
import type { SluiceError } from "../lib/errors.ts";
import { type Lack, type Plan, type Rollout, TERMINAL } from "../rollout/types.ts";
import { isRelapsing, lackOf, lastCompared, stageOf } from "../rollout/verdict.ts";
import type { Phase } from "../versions/types.ts";

/** Where the leader is. */
export interface Move {
  readonly stage: number;
  /** `running`, unless the leader has ended. */
  readonly phase: Phase;
  readonly why: string;
  /** The leader's own time in ms: an older move that arrives late is left out. */
  readonly elapsed: number;
}

/** What a leader learns from its follower. */
export interface FollowerState {
  /** Why the leader must end; null where it need not. */
  readonly ended: string | null;
  /** Why the follower is not ready for the next stage; null where it is. */
  readonly lacks: Lack | null;
  /** Whether the follower's candidate fails more often at 100% than it did: both go back. */
  readonly isRelapsing: boolean;
}

/** The plan of a follower. What happens before the first stage and between two of them is the leader's business. */
export function followerPlan(plan: Plan): Plan {
  return { ...plan, smoke: [], freeze: [], linked: null };
}

/** Where a rollout is, for the one that follows it. */
export function moveOf(worker: string, { stage, phase, reason, elapsed }: Rollout): Move {
  const why = `as the linked rollout of "${worker}": ${reason}`;
  return { stage, phase: TERMINAL.has(phase) ? phase : "running", why, elapsed };
}

/** Whether a follower is elsewhere than its leader. */
export function isBehind({ phase, stage }: Rollout, move: Move): boolean {
  return !TERMINAL.has(phase) && (TERMINAL.has(move.phase) || stage !== move.stage);
}

/**
 * What a follower says of itself.
 *
 * @param follower undefined where its Worker was deleted
 * @param stage of the leader
 * @param now in ms since the epoch
 */
export function followerState(
  worker: string,
  follower: Rollout | undefined,
  stage: number,
  now: number,
): FollowerState {
  const lacks = (why: string | null, waiting: Lack["waiting"] = "traffic"): FollowerState => ({
    ended: null,
    lacks: why === null ? null : { why, waiting },
    isRelapsing: false,
  });
  if (follower === undefined) return lacks(`the linked Worker "${worker}" no longer exists`, "operator");
  const { phase, reason, waiting, soaked, clock } = follower;
  const linked = `the linked rollout of "${worker}"`;
  if (phase === "rolled_back" || phase === "aborted") {
    return { ...lacks(null), ended: `${linked} has ended (${phase}): ${reason}` };
  }
  if (phase === "promoted") return lacks(null);
  if (follower.stage !== stage) return lacks(`${linked} has not reached this stage yet`);
  if (isRelapsing(follower)) return { ...lacks(`${linked} holds: ${reason}`), isRelapsing: true };
  if (phase === "holding" && waiting === "operator") return lacks(`${linked} holds: ${reason}`, "operator");
  if (soaked + Math.max(now - clock, 0) < stageOf(follower).soak_seconds * 1000) {
    return lacks(`${linked} has not been in this stage for long enough`);
  }
  const lacking = lackOf(follower);
  return lacks(lacking === undefined ? null : `${linked} lacks something: ${lacking}`);
}

/** The stage to which a leader goes back with its follower; undefined where it stays. */
export function stageBack(leader: Rollout): number | undefined {
  const earlier = lastCompared(leader);
  return stageOf(leader).percentage < 100 || earlier < 0 ? undefined : earlier;
}

/** The refusal of a follower's start, which says which Worker it is about. */
export function naming(worker: string, error: SluiceError): SluiceError {
  if (error.reason !== "rollout-invalid") return error;
  return { ...error, detail: `in the linked Worker "${worker}", ${error.detail}` };
}
