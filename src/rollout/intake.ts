/**
 * Counts what routers report about a rollout until the gate looks: each client's first failure once, and each client's
 * first answers once, over all processes. No clock, no I/O.
 */
import { LIMITS } from "../lib/limits.ts";
import { ClientSet } from "./clients.ts";
import { addCpu } from "./cpu.ts";
import { noLook } from "./counts.ts";
import { mergeTallies, type Tally } from "./gate.ts";
import type {
  ObservedArm,
  ObservedClient,
  ObservedFailure,
  ObservedVisits,
  Observations,
} from "./records.ts";
import type { ArmCounts, Counts, LookCounts } from "./types.ts";

/** Parts of the stable version's answers that are faster than the thresholds of the latency gate. */
export const QUANTILES = [0.5, 0.9, 0.95, 0.99, 0.999] as const;

/** The split of the stage that a rollout is in. */
export interface StageSplit {
  /** Of the candidate. */
  readonly percentage: number;
}

/** Clients that have failed, those whose first answers were judged, and those that were met in this stage. */
export interface IntakeState {
  readonly failed: ClientSet;
  readonly known: ClientSet;
  readonly met: ClientSet;
}

const newSet = () => new ClientSet(LIMITS.rollouts.rolloutClients);

export const newIntakeState = (): IntakeState => ({ failed: newSet(), known: newSet(), met: newSet() });

export class Intake {
  state: IntakeState;
  /** Thresholds in ms, ascending; null until the reference has given enough answers. */
  slowMs: readonly number[] | null;
  #pending: LookCounts;
  #isEmpty = true;
  #calibration: number[] = [];
  /** Last report by sender: one that is sent again counts once. */
  readonly #senders = new Map<string, number>();

  constructor(state: IntakeState, slowMs: readonly number[] | null) {
    this.state = state;
    this.slowMs = slowMs;
    this.#pending = noLook(slowMs?.length ?? 0);
  }

  /** Whether nothing has come since the last look. */
  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  observe({ sender, seq, visits, failures, clients, cpu }: Observations, stage: StageSplit): void {
    if (seq <= (this.#senders.get(sender) ?? -1)) return;
    // The newest is the last one of the map.
    this.#senders.delete(sender);
    this.#senders.set(sender, seq);
    for (const oldest of this.#senders.keys()) {
      if (this.#senders.size <= LIMITS.rollouts.maxSenders) break;
      this.#senders.delete(oldest);
    }
    for (const each of visits) this.#visit(each, stage);
    for (const each of failures) this.#fail(each);
    for (const each of clients) this.#meet(each, stage);
    if (cpu !== undefined) this.#pending = { ...this.#pending, cpu: addCpu(this.#pending.cpu, cpu) };
  }

  /** Empties the counts since the last look. */
  take(): LookCounts {
    const taken = this.#pending;
    this.#clear();
    return taken;
  }

  /**
   * Clients that were counted by the previous stage's split say nothing about the next one's. All of them are met anew: the
   * rest is not split like everybody, because the clients of the previous stage were those of the two compared arms.
   */
  beginStage(): void {
    this.#pending = { ...this.#pending, shared: [] };
    this.state = { ...this.state, met: newSet() };
  }

  #clear(): void {
    this.#pending = noLook(this.slowMs?.length ?? 0);
    this.#isEmpty = true;
  }

  /** Visits of the last seconds of the previous stage are no reason to leave this one. */
  #visit({ arm, visits, percentage }: ObservedVisits, stage: StageSplit): void {
    if (percentage !== stage.percentage) return;
    this.#count(arm, { exposures: visits, failures: 0 });
  }

  #fail({ hash, arm, share }: ObservedFailure): void {
    if (hash !== null && !this.state.failed.admit(hash)) return;
    this.#count(arm, { exposures: 0, failures: 1 });
    if (arm !== "candidate" && arm !== "reference") return;
    this.#pending = { ...this.#pending, errors: mergeTallies(this.#pending.errors, [one(arm, share)]) };
  }

  #meet({ hash, arm, share, percentage, ms }: ObservedClient, stage: StageSplit): void {
    const tally = [one(arm, share)];
    if (percentage === stage.percentage && (hash === null || this.state.met.admit(hash))) {
      this.#pending = { ...this.#pending, shared: mergeTallies(this.#pending.shared, tally) };
      this.#isEmpty = false;
    }
    if (hash !== null && !this.state.known.admit(hash)) return;
    this.#isEmpty = false;
    const { latency, judged } = this.#pending;
    const { slowMs } = this;
    if (slowMs === null) {
      if (arm === "reference") this.#calibrate(ms);
      return;
    }
    this.#pending = {
      ...this.#pending,
      judged: { ...judged, [arm]: judged[arm] + 1 },
      latency: slowMs.map((limit, i) =>
        ms > limit ? mergeTallies(latency[i] ?? [], tally) : (latency[i] ?? []),
      ),
    };
  }

  #count(arm: ObservedArm, { exposures, failures }: ArmCounts): void {
    const before = this.#pending.counts[arm];
    const counts: Counts = {
      ...this.#pending.counts,
      [arm]: { exposures: before.exposures + exposures, failures: before.failures + failures },
    };
    this.#pending = { ...this.#pending, counts };
    this.#isEmpty = false;
  }

  /** Takes the thresholds from the answers that there are, for a stage that waits for nothing else. */
  hurry(): void {
    if (this.slowMs === null && this.#calibration.length >= LIMITS.rollouts.leastCalibration) this.#fix();
  }

  /** The answers that set the thresholds are not themselves judged by them. */
  #calibrate(ms: number): void {
    if (this.#calibration.push(ms) >= LIMITS.rollouts.calibrationSize) this.#fix();
  }

  #fix(): void {
    const sorted = this.#calibration.sort((x, y) => x - y);
    this.slowMs = QUANTILES.map((part) => sorted[Math.ceil(sorted.length * part) - 1] as number);
    this.#calibration = [];
  }
}

function one(arm: "candidate" | "reference", share: number): Tally {
  return { share, candidate: 0, reference: 0, [arm]: 1 };
}
