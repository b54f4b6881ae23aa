/** Sends what a process of candidates measures of its processor time to rollouts. Never more often than each few seconds. */
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import type { CpuSample } from "../versions/types.ts";
import { addSample, type CpuSums, NO_CPU } from "./cpu.ts";
import type { SendObservations } from "./observer.ts";
import type { Observations } from "./records.ts";

interface Collected {
  readonly sender: string;
  sums: CpuSums;
  /** The report that has not arrived yet, or whose arrival is not known: it is sent again as it is. */
  unsent: Observations | undefined;
  seq: number;
  /** In ms since the epoch. */
  sentAt: number;
}

export class CpuReports {
  readonly #send: SendObservations;
  /** By rollout. */
  readonly #collected = new Map<string, Collected>();

  constructor(send: SendObservations) {
    this.#send = send;
  }

  /** Never rejects: what cannot be sent is sent again. */
  async take(worker: string, rollout: string, sample: CpuSample): Promise<void> {
    const now = Date.now();
    const held = this.#of(rollout, now);
    held.sums = addSample(held.sums, sample);
    if (Math.abs(now - held.sentAt) < LIMITS.rollouts.cpuReportMs) return;
    held.sentAt = now;
    if (held.unsent === undefined) {
      const { sender, sums: cpu } = held;
      held.unsent = { sender, seq: held.seq++, visits: [], failures: [], clients: [], cpu };
      held.sums = NO_CPU;
    }
    const report = held.unsent;
    try {
      await this.#send(worker, rollout, report);
      if (held.unsent === report) held.unsent = undefined;
    } catch (error) {
      log("warn", "cpu-kept", { worker, rollout, why: String(error) });
    }
  }

  #of(rollout: string, now: number): Collected {
    const held = this.#collected.get(rollout);
    if (held !== undefined) return held;
    // Rollouts end without a word.
    for (const [id, { sentAt }] of this.#collected) {
      if (now - sentAt > LIMITS.rollouts.forgetWatchedMs) this.#collected.delete(id);
    }
    const collected: Collected = {
      sender: `cpu-${crypto.randomUUID()}`,
      sums: NO_CPU,
      unsent: undefined,
      seq: 0,
      sentAt: now,
    };
    this.#collected.set(rollout, collected);
    return collected;
  }
}
