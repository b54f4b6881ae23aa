/**
 * The rollouts of one Worker: the state machine (step.ts) with its tables. Part of the Worker's registry, so that a
 * transition, its evidence and its deployment are one transaction.
 */
import type { SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Sql } from "../lib/sqlite.ts";
import type { Author } from "../versions/types.ts";
import { ClientSet } from "./clients.ts";
import { add, evidence, type Interval, NOTHING } from "./gate.ts";
import type { LookPoint, Observation, RolloutPatch, TrailEntry } from "./records.ts";
import { NEW_EVIDENCE, nextLook, stageOf, step } from "./step.ts";
import { type Plan, type Rollout, type RolloutEvent, type Side, TERMINAL, type Transition } from "./types.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS rollout (
  id TEXT PRIMARY KEY,
  created INTEGER NOT NULL,              -- ms since the epoch
  active INTEGER NOT NULL,               -- 1 for the one that has not ended
  state TEXT NOT NULL                    -- JSON object: Rollout
);
CREATE TABLE IF NOT EXISTS rollout_event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  rollout_id TEXT NOT NULL,
  time INTEGER NOT NULL,                 -- ms since the epoch
  who TEXT NOT NULL,                     -- JSON object; the gate where nobody did it
  event TEXT NOT NULL,                   -- JSON object: what happened
  before TEXT NOT NULL,                  -- JSON object: the rollout that it happened to
  after TEXT NOT NULL,                   -- JSON object: what became of it
  deployment_id TEXT                     -- that was made with it
);
CREATE TABLE IF NOT EXISTS rollout_look (
  rollout_id TEXT NOT NULL,
  time INTEGER NOT NULL,                 -- ms since the epoch
  errors REAL NOT NULL,                  -- E-values
  latency REAL NOT NULL,
  PRIMARY KEY (rollout_id, time)
);
CREATE TABLE IF NOT EXISTS rollout_clients (
  rollout_id TEXT PRIMARY KEY,
  hashes BLOB NOT NULL,                  -- 32-bit hashes of those that were counted
  sampled REAL NOT NULL                  -- only hashes below it are counted
);
`;

/** The author of a transition that no operator asked for. */
export const GATE: Author = { id: "gate", email: "gate" };

/** Counted since the last look. */
interface Pending {
  errors: Interval;
  latency: Interval;
  shared: Interval;
}

const NOTHING_PENDING = (): Pending => ({ errors: NOTHING, latency: NOTHING, shared: NOTHING });

export class Rollouts {
  readonly #sql: Sql;
  readonly #now: () => number;
  readonly #isResting: boolean;
  #clients: ClientSet | undefined;
  #pending: Pending = NOTHING_PENDING();
  /** Latencies of the stable version until there are enough for its 95th percentile. */
  #calibration: number[] = [];
  #slowMs: number | null = null;
  #lookedAt = 0;
  #keptAt = 0;

  /**
   * @param now returns the time in ms since the epoch
   * @param isResting whether the gate rests, because candidates have no traffic: rollouts stay as they are
   */
  constructor(sql: Sql, now: () => number, isResting = false) {
    this.#sql = sql;
    this.#now = now;
    this.#isResting = isResting;
    sql.exec(SCHEMA);
    this.#slowMs = this.active()?.evidence.slow_ms ?? null;
  }

  /** The rollout that has not ended. There is at most one. */
  active(): Rollout | undefined {
    return this.#states("SELECT state FROM rollout WHERE active = 1")[0];
  }

  get(id: string): Rollout | undefined {
    return this.#states("SELECT state FROM rollout WHERE id = ?", id)[0];
  }

  /** Newest first. */
  list(): Rollout[] {
    return this.#states(
      "SELECT state FROM rollout ORDER BY created DESC LIMIT ?",
      LIMITS.lists.listedRollouts,
    );
  }

  /** The transitions of a rollout, oldest first. */
  trail(id: string): TrailEntry[] {
    return this.#sql
      .exec("SELECT * FROM rollout_event WHERE rollout_id = ? ORDER BY seq", id)
      .toArray()
      .map((row) => ({
        time: row.time as number,
        who: JSON.parse(row.who as string),
        event: JSON.parse(row.event as string),
        before: JSON.parse(row.before as string),
        after: JSON.parse(row.after as string),
        deployment_id: row.deployment_id as string | null,
      }));
  }

  /** The evidence of a rollout over time, oldest first. */
  history(id: string): LookPoint[] {
    return this.#sql
      .exec("SELECT time, errors, latency FROM rollout_look WHERE rollout_id = ? ORDER BY time", id)
      .toArray() as unknown as LookPoint[];
  }

  /** A new rollout, neither started nor stored. */
  make(candidate: Side, stable: Side, plan: Plan, author: Author): Rollout {
    return {
      id: crypto.randomUUID(),
      candidate,
      stable,
      plan,
      phase: "pending",
      reason: "not started yet",
      stage: 0,
      stage_since: this.#now(),
      created: this.#now(),
      ended: null,
      settled_ms: null,
      author,
      evidence: NEW_EVIDENCE,
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
    const deployment = percentage === null ? null : deploy(after, percentage);
    const isActive = TERMINAL.has(after.phase) ? 0 : 1;
    this.#sql.exec(
      "INSERT OR REPLACE INTO rollout VALUES (?, ?, ?, ?)",
      after.id,
      after.created,
      isActive,
      JSON.stringify(after),
    );
    const isTransition =
      after.phase !== rollout.phase || after.stage !== rollout.stage || deployment !== null;
    if (isTransition) {
      this.#sql.exec(
        `INSERT INTO rollout_event (rollout_id, time, who, event, before, after, deployment_id)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
        after.id,
        this.#now(),
        JSON.stringify(who),
        JSON.stringify(event),
        JSON.stringify(rollout),
        JSON.stringify(after),
        deployment,
      );
    }
    if (event.type === "look") this.#keepLook(after);
    if (event.type === "start") this.#reset();
    // Clients counted while the new stage was being prepared were split by the previous stage.
    if (after.stage !== rollout.stage) this.#pending.shared = NOTHING;
    if (isActive === 0) {
      this.#reset();
      this.#sql.exec("DELETE FROM rollout_clients");
    } else if (isTransition || this.#since(this.#keptAt) > LIMITS.rollouts.keepClientsMs) {
      this.#keepClients(after.id);
    }
    return ok({ rollout: after, deployed: deployment !== null, notice });
  }

  /** Records how long the end of a rollout took to reach every process. */
  settle(id: string, ms: number): void {
    const rollout = this.get(id);
    if (rollout === undefined || rollout.settled_ms !== null) return;
    const state = JSON.stringify({ ...rollout, settled_ms: ms });
    this.#sql.exec("UPDATE rollout SET state = ? WHERE id = ?", state, id);
  }

  /** Counts what a router saw. @returns whether the gate is due */
  observe(rolloutId: string, observations: readonly Observation[]): boolean {
    const rollout = this.active();
    if (this.#isResting || rollout === undefined || rollout.id !== rolloutId) return false;
    const clients = this.#clientsOf(rollout.id);
    for (const observation of observations) {
      const [hash] = observation;
      if (hash === null || clients.admit(hash)) this.#count(observation, stageOf(rollout).percentage);
    }
    return this.#since(this.#lookedAt) >= LIMITS.rollouts.lookMs;
  }

  /** Ms since a time. Infinity where the clock has been set back since: nothing waits until it has caught up. */
  #since(time: number): number {
    const now = this.#now();
    return now < time ? Number.POSITIVE_INFINITY : now - time;
  }

  /** Empties the counts since the last look into an event. */
  takeLook(): Extract<RolloutEvent, { type: "look" }> {
    const { errors, latency, shared } = this.#pending;
    this.#pending = NOTHING_PENDING();
    this.#lookedAt = this.#now();
    const stage = this.active()?.stage ?? 0;
    return { type: "look", interval: { errors, latency }, stage, shared, slow_ms: this.#slowMs };
  }

  /** Puts back what `takeLook` took, where its event could not be applied. */
  giveBack({ interval, shared }: Extract<RolloutEvent, { type: "look" }>): void {
    this.#pending = {
      errors: add(this.#pending.errors, interval.errors),
      latency: add(this.#pending.latency, interval.latency),
      shared: add(this.#pending.shared, shared),
    };
  }

  /** When the gate is due next, in ms since the epoch; undefined while there is nothing to decide. */
  nextLook(): number | undefined {
    const rollout = this.active();
    if (this.#isResting || rollout === undefined) return undefined;
    const isSetBack = this.#since(this.#lookedAt) === Number.POSITIVE_INFINITY;
    const earliest = isSetBack ? this.#now() : this.#lookedAt + LIMITS.rollouts.lookMs;
    const hasPending = this.#pending.errors !== NOTHING;
    const soon = hasPending ? earliest : Number.POSITIVE_INFINITY;
    const next = Math.min(nextLook(rollout) ?? Number.POSITIVE_INFINITY, soon);
    return Number.isFinite(next) ? Math.max(next, earliest) : undefined;
  }

  clear(): void {
    for (const table of ["rollout", "rollout_event", "rollout_look", "rollout_clients"])
      this.#sql.exec(`DELETE FROM ${table}`);
    this.#reset();
  }

  /** @param configured percentage of the candidate in the current stage */
  #count([, isCandidate, failed, ms, percentage]: Observation, configured: number): void {
    const one = (bad: boolean): Interval => {
      const arm = { exposures: 1, failures: bad ? 1 : 0 };
      return isCandidate ? { ...NOTHING, candidate: arm } : { ...NOTHING, stable: arm };
    };
    const pending = this.#pending;
    pending.errors = add(pending.errors, one(failed));
    const wanted = isCandidate ? configured : 100 - configured;
    if (Math.abs(percentage - wanted) < 1e-6) pending.shared = add(pending.shared, one(failed));
    if (this.#slowMs !== null) pending.latency = add(pending.latency, one(ms > this.#slowMs));
    else if (!isCandidate) this.#calibrate(ms);
  }

  /** The answers that set the threshold are not themselves judged by it. */
  #calibrate(ms: number): void {
    if (this.#calibration.push(ms) < LIMITS.rollouts.calibrationSize) return;
    const sorted = this.#calibration.sort((x, y) => x - y);
    this.#slowMs = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? null;
    this.#calibration = [];
  }

  #clientsOf(id: string): ClientSet {
    if (this.#clients === undefined) {
      const [row] = this.#sql.exec("SELECT * FROM rollout_clients WHERE rollout_id = ?", id).toArray();
      this.#clients =
        row === undefined
          ? new ClientSet(LIMITS.rollouts.rolloutClients)
          : new ClientSet(
              LIMITS.rollouts.rolloutClients,
              new Uint32Array(row.hashes as ArrayBuffer),
              row.sampled as number,
            );
    }
    return this.#clients;
  }

  /** Stores the look. Whenever there are too many, every second one is deleted, so recent looks stay the densest. */
  #keepLook({ id, evidence: { metrics } }: Rollout): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO rollout_look VALUES (?, ?, ?, ?)",
      id,
      this.#now(),
      evidence(metrics.errors),
      evidence(metrics.latency),
    );
    const [row] = this.#sql
      .exec("SELECT count(*) AS looks FROM rollout_look WHERE rollout_id = ?", id)
      .toArray();
    if ((row?.looks as number) <= LIMITS.rollouts.keptLooks) return;
    this.#sql.exec(
      `DELETE FROM rollout_look WHERE rollout_id = ? AND time IN (
         SELECT time FROM (SELECT time, row_number() OVER (ORDER BY time) AS n FROM rollout_look WHERE rollout_id = ?)
         WHERE n % 2 = 0)`,
      id,
      id,
    );
  }

  #keepClients(id: string): void {
    if (this.#clients === undefined) return;
    this.#keptAt = this.#now();
    const { hashes, limit } = this.#clients.dump();
    this.#sql.exec("INSERT OR REPLACE INTO rollout_clients VALUES (?, ?, ?)", id, hashes.buffer, limit);
  }

  #reset(): void {
    this.#clients = undefined;
    this.#pending = NOTHING_PENDING();
    this.#calibration = [];
    this.#slowMs = null;
  }

  #states(query: string, ...bindings: (string | number)[]): Rollout[] {
    return this.#sql
      .exec(query, ...bindings)
      .toArray()
      .map(({ state }) => JSON.parse(state as string));
  }
}
