/** The tables of a Worker's rollouts, in its registry's database. */
import { LIMITS } from "../lib/limits.ts";
import type { Sql } from "../lib/sqlite.ts";
import type { Author } from "../versions/types.ts";
import { ClientSet } from "./clients.ts";
import type { Tally } from "./gate.ts";
import { type IntakeState, newIntakeState } from "./intake.ts";
import { NEW_EVIDENCE } from "./learning.ts";
import { DEFAULT_GATES } from "./plan.ts";
import type { LookPoint, TrailEntry } from "./records.ts";
import type { Metric, Rollout, RolloutEvent } from "./types.ts";

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
CREATE TABLE IF NOT EXISTS rollout_tally (
  rollout_id TEXT NOT NULL,
  minute INTEGER NOT NULL,               -- of the rollout's own time
  metric TEXT NOT NULL,                  -- errors, or latency and the index of the threshold
  share REAL NOT NULL,                   -- probability that a client of the two arms was the candidate's
  candidate INTEGER NOT NULL,            -- clients with a first failure, by arm
  reference INTEGER NOT NULL,
  PRIMARY KEY (rollout_id, minute, metric, share)
);
CREATE TABLE IF NOT EXISTS rollout_seen (
  rollout_id TEXT NOT NULL,
  what TEXT NOT NULL,                    -- failed, known or met
  hashes BLOB NOT NULL,                  -- 32-bit hashes of the clients that were counted
  sampled REAL NOT NULL,                 -- only hashes below it are counted
  PRIMARY KEY (rollout_id, what)
);
DROP TABLE IF EXISTS rollout_clients;
`;

/** A row of a rollout's certificate: the first failures of a minute at one split. */
export interface TallyRow extends Tally {
  /** Of the rollout's own time. */
  readonly minute: number;
  /** `errors`, or `latency` and the index of the threshold. */
  readonly metric: Metric | `latency${number}`;
}

export class RolloutTables {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(SCHEMA);
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

  put(rollout: Rollout, isActive: boolean): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO rollout VALUES (?, ?, ?, ?)",
      rollout.id,
      rollout.created,
      isActive ? 1 : 0,
      JSON.stringify(rollout),
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
        before: upgraded(JSON.parse(row.before as string)),
        after: upgraded(JSON.parse(row.after as string)),
        deployment_id: row.deployment_id as string | null,
      }));
  }

  addEvent(who: Author, event: RolloutEvent, { time, before, after, deployment_id }: AddedEntry): void {
    this.#sql.exec(
      `INSERT INTO rollout_event (rollout_id, time, who, event, before, after, deployment_id)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      after.id,
      time,
      JSON.stringify(who),
      JSON.stringify(event),
      JSON.stringify(before),
      JSON.stringify(after),
      deployment_id,
    );
  }

  /** The evidence of a rollout over time, oldest first. */
  history(id: string): LookPoint[] {
    return this.#sql
      .exec("SELECT time, errors, latency FROM rollout_look WHERE rollout_id = ? ORDER BY time", id)
      .toArray() as unknown as LookPoint[];
  }

  /** Stores the look. Whenever there are too many, every second one is deleted, so recent looks stay the densest. */
  addLook(id: string, { time, errors, latency }: LookPoint): void {
    this.#sql.exec("INSERT OR REPLACE INTO rollout_look VALUES (?, ?, ?, ?)", id, time, errors, latency);
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

  /** Adds to the rollout's certificate. */
  addTallies(id: string, minute: number, metric: TallyRow["metric"], tallies: readonly Tally[]): void {
    for (const { share, candidate, reference } of tallies) {
      this.#sql.exec(
        `INSERT INTO rollout_tally VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
           candidate = candidate + excluded.candidate, reference = reference + excluded.reference`,
        id,
        minute,
        metric,
        share,
        candidate,
        reference,
      );
    }
  }

  /** What the bets of a rollout were decided by, in the order of time. */
  tallies(id: string): TallyRow[] {
    return this.#sql
      .exec(
        `SELECT minute, metric, share, candidate, reference FROM rollout_tally
         WHERE rollout_id = ? ORDER BY minute, metric, share`,
        id,
      )
      .toArray() as unknown as TallyRow[];
  }

  /** For a rollout whose evidence an operator has accepted: it begins again. */
  forgetTallies(id: string): void {
    this.#sql.exec("DELETE FROM rollout_tally WHERE rollout_id = ?", id);
  }

  /** The clients that a rollout has counted. */
  seen(id: string): IntakeState {
    const state = { ...newIntakeState() } as { -readonly [Name in keyof IntakeState]: ClientSet };
    for (const row of this.#sql.exec("SELECT * FROM rollout_seen WHERE rollout_id = ?", id).toArray()) {
      state[row.what as keyof IntakeState] = new ClientSet(
        LIMITS.rollouts.rolloutClients,
        new Uint32Array(row.hashes as ArrayBuffer),
        row.sampled as number,
      );
    }
    return state;
  }

  keepSeen(id: string, state: Partial<IntakeState>): void {
    for (const [what, clients] of Object.entries(state)) {
      const { hashes, limit } = clients.dump();
      this.#sql.exec(
        "INSERT OR REPLACE INTO rollout_seen VALUES (?, ?, ?, ?)",
        id,
        what,
        hashes.buffer,
        limit,
      );
    }
  }

  forgetSeen(): void {
    this.#sql.exec("DELETE FROM rollout_seen");
  }

  clear(): void {
    for (const table of ["rollout", "rollout_event", "rollout_look", "rollout_tally", "rollout_seen"])
      this.#sql.exec(`DELETE FROM ${table}`);
  }

  #states(query: string, ...bindings: (string | number)[]): Rollout[] {
    return this.#sql
      .exec(query, ...bindings)
      .toArray()
      .map(({ state }) => upgraded(JSON.parse(state as string)));
  }
}

type AddedEntry = Pick<TrailEntry, "time" | "before" | "after" | "deployment_id">;

/**
 * A rollout as release 0.1 stored it has other evidence, which cannot be judged here: an active one goes on with new
 * evidence, and compares with the whole stable version as it did before.
 */
function upgraded(stored: Rollout): Rollout {
  if (stored.elapsed !== undefined) return stored;
  const { plan, stage_since, created } = stored;
  return {
    ...stored,
    plan: {
      ...plan,
      gates: { ...DEFAULT_GATES, ...plan.gates, reference: "stable" },
      cohort: null,
      smoke: [],
      freeze: [],
      linked: null,
    },
    waiting: stored.ended === null ? "time" : null,
    failed: null,
    elapsed: stage_since - created,
    soaked: 0,
    clock: stage_since,
    peer: null,
    salt: null,
    evidence: NEW_EVIDENCE,
  };
}
