/**
 * Measures the process of candidates for rollouts: how many requests to a candidate and to its baseline ended in a while,
 * and how much processor time the process used. Code cannot see the time of its process; the supervisor tells it.
 */
import type { Env } from "../lib/env.ts";
import type { CpuSample } from "../versions/types.ts";
import { CpuMeter, sampleOf } from "./cpu-meter.ts";
import { deploymentsOf } from "./process.ts";

/** What a rollout learns from a while. */
export interface LaneSample extends CpuSample {
  readonly worker: string;
  /** The rollout's id. */
  readonly rollout: string;
}

let listener: ((sample: LaneSample) => Promise<void>) | undefined;

/** @param take gets the samples, in a request. Never rejects */
export function onLaneSample(take: (sample: LaneSample) => Promise<void>): void {
  listener = take;
}

const meter = new CpuMeter();

/** Counts a request that has ended. */
export function countEnd(worker: string, instance: string): void {
  meter.ended(worker, instance);
}

/** @param cpuMs processor time that this process had used when it last answered the supervisor, in ms */
export async function sampleCpu(env: Env, cpuMs: number): Promise<void> {
  const interval = meter.mark(cpuMs);
  if (interval === undefined) return;
  for (const worker of interval.workers) {
    const record = (await deploymentsOf(env).load(worker))?.record;
    const sample = record && sampleOf(interval, record);
    if (record?.rollout === undefined || sample === undefined) continue;
    await listener?.({ worker, rollout: record.rollout.id, ...sample });
  }
}
