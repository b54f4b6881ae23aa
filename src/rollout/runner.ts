/**
 * The rollouts of one Worker: the state machine (step.ts) with its tables. Part of the Worker's registry, so that a
 * transition, its evidence and its deployment are one transaction.
 */
import type { SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Sql } from "../lib/sqlite.ts";
import type { Author } from "../versions/types.ts";
import { frozenUntil } from "./freeze.ts";
import { Intake, newIntakeState } from "./intake.ts";
import { NEW_EVIDENCE } from "./learning.ts";
import type { LookPoint, Observations, RolloutPatch, TrailEntry } from "./records.ts";
import { nextLook, step } from "./step.ts";
import { RolloutTables, type TallyRow } from "./tables.ts";
import {
  type Lack,
  type Look,
  type Peer,
  type Plan,
  type Rollout,
  type RolloutEvent,
  type Side,
  TERMINAL,
  type Transition,
} from "./types.ts";
import { evidenceOf, LACKS_TIMES, stageOf } from "./verdict.ts";

/** The author of a transition that no operator asked for. */
export const GATE: Author = { id: "gate", email: "gate" };

/** A rollout to be made. */
export interface NewRollout {
  /** A new one by default. */
  readonly id?: string;
  readonly candidate: Side;
  readonly stable: Side;
  readonly plan: Plan;
  readonly author: Author;
  /** Thresholds of the latency gate in ms, ascending; null to take them from the first clients. */
  readonly slow_ms?: readonly number[] | null;
  readonly peer?: Peer | null;
  readonly salt?: string | null;
}

export class Rollouts {
  readonly #tables: RolloutTables;
  readonly #now: () => number;
  readonly #isResting: boolean;
  /** The counts of the rollout with this id. */
  #intake: { readonly id: string; readonly intake: Intake } | undefined;
  #lookedAt = 0;
  #keptAt = 0;

  /**
   * @param now returns the time in ms since the epoch
   * @param isResting whether the gate rests, because candidates have no traffic: rollouts stay as they are
   */
  constructor(sql: Sql, now: () => number, isResting = false) {
    this.#tables = new RolloutTables(sql);
    this.#now = now;
    this.#isResting = isResting;
  }

  /** The rollout that has not ended. There is at most one. */
  active(): Rollout | undefined {
    return this.#tables.active();
  }

  get(id: string): Rollout | undefined {
    return this.#tables.get(id);
  }

  /** Newest first. */
  list(): Rollout[] {
    return this.#tables.list();
  }

  /** The transitions of a rollout, oldest first. */
  trail(id: string): TrailEntry[] {
    return this.#tables.trail(id);
  }

  /** The evidence of a rollout over time, oldest first. */
  history(id: string): LookPoint[] {
    return this.#tables.history(id);
  }

  /** What the bets of a rollout were decided by, in the order of time. */
  tallies(id: string): TallyRow[] {
    return this.#tables.tallies(id);
  }

  /** A rollout with everything that is stored of it. */
  detail(id: string) {
    const rollout = this.get(id);
    return (
      rollout && { rollout, trail: this.trail(id), history: this.history(id), tallies: this.tallies(id) }
    );
  }

  /** A new rollout, neither started nor stored. */
  make(given: NewRollout): Rollout {
    const { id = crypto.randomUUID(), candidate, stable, plan, author } = given;
    const { slow_ms = null, peer = null, salt = null } = given;
    const now = this.#now();
    return {
      id,
      candidate,
      stable,
      plan,
      phase: "pending",
      reason: "not started yet",
      waiting: "time",
      failed: null,
      stage: 0,
      stage_since: now,
      elapsed: 0,
      soaked: 0,
      clock: now,
      created: now,
      ended: null,
      settled_ms: null,
      author,
      peer,
      salt,
      evidence: { ...NEW_EVIDENCE, slow_ms },
    };
  }

  /** The transition that an event would make. Changes nothing. */
  consider(rollout: Rollout, event: RolloutEvent): Result<Transition, SluiceError> {
    const outcome = step(rollout, event, this.#now());
    return outcome.ok ? outcome : err({ reason: "rollout-state", id: rollout.id, detail: outcome.error });
  }

  /**
   * Applies an event and stores the result. Call it in a transaction.
   *
   * @param deploy makes the deployment that the transition wants, and returns its id
   */
  apply(
    rollout: Rollout,
    event: RolloutEvent,
    who: Author,
    deploy: (rollout: Rollout, percentage: number) => string,
  ): Result<RolloutPatch, SluiceError> {
    const considered = this.consider(rollout, event);
    if (!considered.ok) return considered;
    const { rollout: after, deploy: percentage, notice } = considered.value;
    const deployment_id = percentage === null ? null : deploy(after, percentage);
    const isActive = !TERMINAL.has(after.phase);
    this.#tables.put(after, isActive);
    const isTransition =
      after.phase !== rollout.phase || after.stage !== rollout.stage || deployment_id !== null;
    if (isTransition) {
      const time = this.#now();
      this.#tables.addEvent(who, event, { time, before: rollout, after, deployment_id });
    }
    if (event.type === "look") this.#keepLook(after, event);
    if (event.type === "start") this.#intake = undefined;
    const isForgiven =
      event.type === "approve" || (event.type === "follow" && after.stage > rollout.stage && isActive);
    if (isForgiven && rollout.failed !== null) this.#tables.forgetTallies(after.id);
    if (after.stage !== rollout.stage) this.#intake?.intake.beginStage();
    if (!isActive) {
      this.#intake = undefined;
      this.#tables.forgetSeen();
    } else if (isTransition || this.#since(this.#keptAt) > LIMITS.rollouts.keepClientsMs) {
      this.#keepSeen(after.id);
    } else if (event.type === "look" && hasFailures(event)) {
      // With the same transaction: whoever has failed once never counts again, whatever ends this process.
      this.#tables.keepSeen(after.id, { failed: this.#intakeOf(after).state.failed });
    }
    return ok({ rollout: after, deployed: deployment_id !== null, notice });
  }

  /** Records how long the end of a rollout took to reach every process. */
  settle(id: string, ms: number): void {
    const rollout = this.get(id);
    if (rollout === undefined || rollout.settled_ms !== null) return;
    this.#tables.put({ ...rollout, settled_ms: ms }, false);
  }

  /** Counts what a router saw. @returns whether the gate is due */
  observe(rolloutId: string, observations: Observations): boolean {
    const rollout = this.active();
    if (this.#isResting || rollout === undefined || rollout.id !== rolloutId) return false;
    this.#intakeOf(rollout).observe(observations, stageOf(rollout));
    return this.#since(this.#lookedAt) >= LIMITS.rollouts.lookMs;
  }

  /** Ms since a time. Infinity where the clock has been set back since: nothing waits until it has caught up. */
  #since(time: number): number {
    const now = this.#now();
    return now < time ? Number.POSITIVE_INFINITY : now - time;
  }

  /** Empties the counts since the last look into an event. @param lacks what the linked rollout lacks */
  takeLook(rollout: Rollout, lacks: Lack | null = null): Look {
    const intake = this.#intakeOf(rollout);
    if (rollout.reason === LACKS_TIMES) intake.hurry();
    const counts = intake.take();
    this.#lookedAt = this.#now();
    const frozen_until = frozenUntil(rollout.plan.freeze, this.#now()) ?? null;
    return { type: "look", counts, stage: rollout.stage, slow_ms: intake.slowMs, frozen_until, lacks };
  }

  /** When the gate is due next, in ms since the epoch; undefined while there is nothing to decide. */
  nextLook(): number | undefined {
    const rollout = this.active();
    if (this.#isResting || rollout === undefined) return undefined;
    const isSetBack = this.#since(this.#lookedAt) === Number.POSITIVE_INFINITY;
    const earliest = isSetBack ? this.#now() : this.#lookedAt + LIMITS.rollouts.lookMs;
    const times = [
      nextLook(rollout),
      rollout.waiting === "window" ? (frozenUntil(rollout.plan.freeze, this.#now()) ?? earliest) : undefined,
      this.#intake?.intake.isEmpty === false ? earliest : undefined,
      // What the other one lacks, nobody tells.
      rollout.peer === null ? undefined : this.#lookedAt + LIMITS.rollouts.peerLookMs,
    ].filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.max(Math.min(...times), earliest);
  }

  clear(): void {
    this.#tables.clear();
    this.#intake = undefined;
  }

  #intakeOf({ id, evidence: { slow_ms } }: Rollout): Intake {
    if (this.#intake?.id === id) return this.#intake.intake;
    const seen = this.#tables.seen(id);
    // Without thresholds nobody has been judged yet: everybody can still help to find them.
    const state = slow_ms === null ? { ...seen, known: newIntakeState().known } : seen;
    const intake = new Intake(state, slow_ms);
    this.#intake = { id, intake };
    return intake;
  }

  #keepLook(rollout: Rollout, { counts }: Look): void {
    const { id, elapsed } = rollout;
    this.#tables.addLook(id, {
      time: this.#now(),
      errors: evidenceOf(rollout, "errors"),
      latency: evidenceOf(rollout, "latency"),
    });
    const minute = Math.floor(elapsed / 60_000);
    this.#tables.addTallies(id, minute, "errors", counts.errors);
    for (const [i, tallies] of counts.latency.entries()) {
      this.#tables.addTallies(id, minute, `latency${i}`, tallies);
    }
  }

  #keepSeen(id: string): void {
    if (this.#intake === undefined) return;
    this.#keptAt = this.#now();
    this.#tables.keepSeen(id, this.#intake.intake.state);
  }
}

function hasFailures({ counts: { counts } }: Look): boolean {
  return Object.values(counts).some(({ failures }) => failures > 0);
}
