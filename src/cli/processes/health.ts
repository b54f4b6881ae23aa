/**
 * Tells the API what the supervisor sees of the processes: how each of them is, every few seconds, and each end that
 * nobody asked for, until the API has recorded it. The process with the API may be the one that ended.
 */
import { randomUUID } from "node:crypto";
import { statfs } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { MIB } from "../../lib/bytes.ts";
import { LIMITS } from "../../lib/limits.ts";
import { SUPERVISOR } from "../../metrics/health.ts";
import type { HealthSample, ProcessHealth } from "../../metrics/types.ts";
import type { Cause, Found, Incident } from "../../versions/incident.ts";
import { call, type Target } from "../api.ts";
import { figuresOf } from "./proc.ts";
import type { WorkerdProcess } from "./process.ts";

/** Pause between two samples, in ms. */
const SAMPLE_MS = 5_000;
/** First and longest pause before an incident is reported again, in ms. */
const REPORT_MS = { first: 100, longest: 5_000 };
/** Incidents that wait for the API at once. While it is away for long, the oldest are forgotten. */
const MAX_WAITING = LIMITS.lists.keptIncidents;

interface HealthOptions {
  readonly target: Target;
  readonly processes: readonly WorkerdProcess[];
  /** Resident memory that a process may use, in MiB. */
  readonly memoryMiB: number;
  /** A folder on the disk to watch. */
  readonly folder: string;
}

export class Health {
  readonly #options: HealthOptions;
  readonly #restarts = new Map<string, Record<Cause, number>>();
  readonly #waiting: Incident[] = [];
  readonly #timer: NodeJS.Timeout;
  #isReporting = false;
  #isSampling = false;
  /** Whether something has changed since the sample that is on its way. */
  #isOutdated = false;
  #isStopped = false;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.sample(), SAMPLE_MS);
    this.#timer.unref();
    void this.sample();
  }

  /** Says nothing more. Incidents that the API has not recorded are lost. */
  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  /** Takes in an end of a process that nobody asked for. */
  incident(found: Found): void {
    const { process, cause, versions } = found;
    const restarts = this.#restartsOf(process);
    restarts[cause]++;
    this.#waiting.push({
      ...found,
      id: randomUUID(),
      at: new Date().toISOString(),
      versions: versions.slice(0, LIMITS.lists.incidentVersions),
    });
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    void this.#report();
    void this.sample();
  }

  /** Tells the API how the processes are. Never rejects: the API is told again soon. */
  async sample(): Promise<void> {
    this.#isOutdated = true;
    if (this.#isSampling) return;
    this.#isSampling = true;
    while (this.#isOutdated && !this.#isStopped) {
      this.#isOutdated = false;
      try {
        await call(this.#options.target, "PUT", "/processes", await this.#look());
      } catch {
        // It is being restarted.
      }
    }
    this.#isSampling = false;
  }

  async #look(): Promise<HealthSample> {
    const { processes, memoryMiB, folder } = this.#options;
    const all = processes.map((each) => this.#healthOf(each, memoryMiB * MIB));
    const own: ProcessHealth = {
      name: SUPERVISOR,
      pid: process.pid,
      up: true,
      ...figuresOf(process.pid),
      memory_limit_bytes: null,
      restarts: null,
    };
    return { processes: [own, ...all], disk: await diskOf(folder) };
  }

  #healthOf({ name, pid, isListening }: WorkerdProcess, limit: number): ProcessHealth {
    return {
      name,
      pid: pid ?? null,
      up: isListening,
      ...figuresOf(pid),
      memory_limit_bytes: limit,
      restarts: { ...this.#restartsOf(name) },
    };
  }

  #restartsOf(name: string): Record<Cause, number> {
    const known = this.#restarts.get(name) ?? { hang: 0, memory: 0, ended: 0 };
    this.#restarts.set(name, known);
    return known;
  }

  /** Reports what waits, the oldest first, until the API has all of it. */
  async #report(): Promise<void> {
    if (this.#isReporting) return;
    this.#isReporting = true;
    let pause = REPORT_MS.first;
    for (let next = this.#waiting[0]; next !== undefined && !this.#isStopped; next = this.#waiting[0]) {
      try {
        await call(this.#options.target, "POST", "/incidents", next);
        // It may have been forgotten meanwhile.
        if (this.#waiting[0] === next) this.#waiting.shift();
        pause = REPORT_MS.first;
      } catch {
        await sleep(pause, undefined, { ref: false });
        pause = Math.min(pause * 2, REPORT_MS.longest);
      }
    }
    this.#isReporting = false;
  }
}

async function diskOf(folder: string): Promise<HealthSample["disk"]> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    // What the superuser alone may use is not free for Sluice.
    return { free_bytes: bavail * bsize, size_bytes: blocks * bsize };
  } catch {
    return null;
  }
}
