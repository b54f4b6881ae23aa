/** How much processor time the process of candidates takes for how many requests. No clock, no I/O. */
import { baselineOf } from "../versions/placement.ts";
import type { DeploymentRecord } from "../versions/record.ts";
import type { CpuSample } from "../versions/types.ts";

/** Requests of an interval at least. With fewer, ticks of 10 ms, in which Linux counts, would be most of the time. */
const MIN_REQUESTS = 10;

/** Requests that ended, by the isolate's name. */
type Counts = Map<string, number>;

/** The Workers with requests in a while, the requests, and the processor time of all in ms. */
export interface Interval {
  readonly workers: readonly string[];
  readonly requests: ReadonlyMap<string, number>;
  readonly cpu_ms: number;
}

/**
 * Counts requests between marks. The supervisor reads the time of the process when the answer to a question has come, and
 * brings it with the next question. So a mark is set with each answer, and its time is known at the next one: a question
 * that waits in a busy process does not move requests from one interval to another.
 */
export class CpuMeter {
  #workers = new Set<string>();
  /** Requests of the interval up to the last mark, and those after it. */
  #marked: Counts = new Map();
  #open: Counts = new Map();
  /** The process's time at the beginning of the interval, in ms; undefined until it is known. */
  #since: number | undefined;
  #isOn = false;

  /** Counts a request that has ended. Does nothing before the first mark: without a supervisor, there is none. */
  ended(worker: string, instance: string): void {
    if (!this.#isOn) return;
    this.#workers.add(worker);
    this.#open.set(instance, (this.#open.get(instance) ?? 0) + 1);
  }

  /**
   * Sets a mark.
   *
   * @param cpuMs processor time of the process at the last mark, in ms; of the first call, it is not used
   * @returns the interval that ended with the last mark; undefined where it goes on
   */
  mark(cpuMs: number): Interval | undefined {
    const interval = this.#close(cpuMs);
    for (const [instance, requests] of this.#open)
      this.#marked.set(instance, (this.#marked.get(instance) ?? 0) + requests);
    this.#open.clear();
    this.#isOn = true;
    return interval;
  }

  #close(cpuMs: number): Interval | undefined {
    if (!this.#isOn) return undefined;
    const since = this.#since;
    this.#since ??= cpuMs;
    if (since === undefined || totalOf(this.#marked) < MIN_REQUESTS) return undefined;
    const interval = { workers: [...this.#workers], requests: this.#marked, cpu_ms: cpuMs - since };
    this.#marked = new Map();
    this.#workers = new Set();
    this.#since = cpuMs;
    return interval;
  }
}

/** What an interval says about the rollout of a Worker; undefined where it has none with a baseline that was asked. */
export function sampleOf(
  { requests, cpu_ms }: Pick<Interval, "requests" | "cpu_ms">,
  { rollout, versions }: Pick<DeploymentRecord, "rollout" | "versions">,
): CpuSample | undefined {
  if (!rollout?.baseline) return undefined;
  const stable = versions.find(({ version_id }) => version_id !== rollout.candidate);
  const candidate = requests.get(rollout.candidate) ?? 0;
  const baseline = (stable && requests.get(baselineOf(stable.version_id))) ?? 0;
  if (candidate + baseline === 0) return undefined;
  return { candidate, baseline, other: totalOf(requests) - candidate - baseline, cpu_ms };
}

function totalOf(counts: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}
