/**
 * Watches every process. One that is silent while it uses the processor hangs, and one that uses too much memory would
 * have the system end it, or another program: nothing can stop code inside a process, so the process is ended and started
 * again. The others are told which processes are up.
 */
import { readFileSync } from "node:fs";
import { MIB } from "../../lib/bytes.ts";
import type { FollowerMessage, FollowerReply } from "../../runtime/messages.ts";
import type { Logger } from "../logger.ts";
import { Blame, type Suspect } from "./blame.ts";
import { Descriptors } from "./descriptors.ts";
import { post } from "./post.ts";
import type { WorkerdProcess } from "./process.ts";

/** Pause between two questions to a process, in ms. */
const ASK_MS = 250;
/**
 * Processor time without an answer, as a share of the silence that counts. A process that is stopped or waits for the disk
 * uses none; on a busy machine, one that is well is silent for long, but answers after little of its own time.
 */
const BUSY = 0.9;
/** If the supervisor's own timer is this late, in ms, the machine is too busy or was asleep: nobody's silence counts. */
const LATE_MS = 1_000;
/** Ticks of the processor's clock per second, in which Linux counts (sysconf(_SC_CLK_TCK), 100 everywhere). */
const TICKS_PER_SECOND = 100;

/** Size of a page of memory on x86-64 and most arm64 systems. Where pages are larger, the limit is higher. */
const PAGE_BYTES = 4096;

interface Watched {
  readonly process: WorkerdProcess;
  /** Unix socket of the process's `Follower`. */
  readonly socket: string;
}

interface State extends Watched {
  isUp: boolean;
  isAsking: boolean;
  /** When it last answered, or began to be watched, in ms of the monotonic clock. */
  heardAt: number;
  /** Processor time that it had used then, in ms; undefined where the system does not say. */
  cpuAt: number | undefined;
}

interface WatchdogOptions {
  /** Resident memory that a process may use, in MiB. */
  readonly memoryMiB: number;
  /** Silence after which a process hangs, in ms. */
  readonly hangMs: number;
  readonly logger: Logger;
  /** Called with a candidate that ended its process twice. */
  readonly harmful: (culprit: Suspect) => void;
}

export class Watchdog {
  readonly #states: readonly State[];
  readonly #hangMs: number;
  readonly #memoryMiB: number;
  readonly #logger: Logger;
  readonly #harmful: WatchdogOptions["harmful"];
  readonly #blame = new Blame();
  readonly #descriptors: Descriptors;
  readonly #timer: NodeJS.Timeout;
  #tickedAt = performance.now();

  constructor(watched: readonly Watched[], { hangMs, memoryMiB, logger, harmful }: WatchdogOptions) {
    this.#hangMs = hangMs;
    this.#memoryMiB = memoryMiB;
    this.#logger = logger;
    this.#harmful = harmful;
    this.#states = watched.map((each) => ({
      ...each,
      isUp: true,
      isAsking: false,
      heardAt: performance.now(),
      cpuAt: cpuOf(each.process.pid),
    }));
    this.#descriptors = new Descriptors(
      watched.map(({ process }) => process),
      (name, isShort, open) => this.#setShort(name, isShort, open),
    );
    this.#timer = setInterval(() => this.#tick(), ASK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#descriptors.stop();
  }

  /** Call this when a process has ended. */
  ended(name: string): void {
    this.#setUp(name, false);
  }

  /** Call this when a process listens again. */
  listening(name: string): void {
    this.#setUp(name, true);
  }

  #setUp(name: string, isUp: boolean): void {
    const state = this.#states.find(({ process }) => process.name === name);
    if (state === undefined) return;
    const wasUp = state.isUp;
    state.isUp = isUp;
    this.#heard(state);
    void this.#announce().then((running) => {
      if (name === "canary" && wasUp && !isUp) this.#blameFor(running);
    });
  }

  /** Tells every process which ones are up. @returns the versions that had requests under way in the canary process */
  async #announce(): Promise<Suspect[]> {
    const up = this.#states.filter((each) => each.isUp);
    const names = up.map(({ process }) => process.name);
    const message = { type: "processes", up: names, suspected: this.#blame.suspected } as const;
    const replies = await Promise.all(
      up.map(({ socket, process }) =>
        tell(socket, { ...message, isShort: this.#descriptors.isShort(process.name) }),
      ),
    );
    return replies.flatMap((reply) => reply?.running ?? []);
  }

  #setShort(name: string, isShort: boolean, open: number): void {
    const event = isShort ? "descriptors-short" : "descriptors-enough";
    this.#logger.log(isShort ? "error" : "info", event, { process: name, open });
    void this.#announce();
  }

  #blameFor(running: readonly Suspect[]): void {
    const culprit = this.#blame.ended(running, performance.now());
    this.#logger.log("warn", "candidates-suspected", {
      running: running.map(({ version }) => version),
      culprit: culprit?.version ?? null,
    });
    if (culprit !== undefined) this.#harmful(culprit);
    void this.#announce();
  }

  #tick(): void {
    const now = performance.now();
    const isLate = now - this.#tickedAt > ASK_MS + LATE_MS;
    this.#tickedAt = now;
    for (const state of this.#states) {
      if (!state.isUp) continue;
      if (isLate) this.#heard(state);
      else if (now - state.heardAt > this.#hangMs) this.#endIfBusy(state, now - state.heardAt);
      if (state.isUp) this.#endIfLarge(state);
      void this.#ask(state);
    }
  }

  #endIfBusy(state: State, silentMs: number): void {
    const cpu = cpuOf(state.process.pid);
    // Where the system does not say, the silence alone counts.
    const busyMs = cpu === undefined || state.cpuAt === undefined ? null : cpu - state.cpuAt;
    if (busyMs !== null && busyMs < this.#hangMs * BUSY) return;
    this.#end(state, "process-hangs", { silent_ms: Math.round(silentMs), busy_ms: busyMs });
  }

  #endIfLarge(state: State): void {
    const mebibytes = memoryOf(state.process.pid);
    if (mebibytes <= this.#memoryMiB) return;
    this.#end(state, "process-too-large", { mib: Math.round(mebibytes), limit_mib: this.#memoryMiB });
  }

  #end({ process }: State, event: string, why: Readonly<Record<string, unknown>>): void {
    this.#logger.log("error", event, { process: process.name, pid: process.pid, ...why });
    // First, so that nobody sends it anything more.
    this.#setUp(process.name, false);
    process.kill();
  }

  async #ask(state: State): Promise<void> {
    if (state.isAsking) return;
    state.isAsking = true;
    const { pid } = state.process;
    const reply = await tell(state.socket, { type: "prepare", worker: "", versions: [] });
    state.isAsking = false;
    if (reply !== undefined && state.process.pid === pid) this.#heard(state);
  }

  #heard(state: State): void {
    state.heardAt = performance.now();
    state.cpuAt = cpuOf(state.process.pid);
  }
}

/** Resident memory of a process in MiB; 0 where the system does not say. */
function memoryOf(pid: number | undefined): number {
  if (process.platform !== "linux") return 0;
  try {
    const [, pages] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ");
    return (Number(pages) * PAGE_BYTES) / MIB;
  } catch {
    return 0;
  }
}

/** Processor time of a process in ms; undefined where the system does not say. */
function cpuOf(pid: number | undefined): number | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before it may contain spaces (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

/** @returns undefined if the process has not answered */
async function tell(socket: string, message: FollowerMessage): Promise<FollowerReply | undefined> {
  try {
    return (await post<FollowerReply>(socket, "follower", JSON.stringify(message))).reply;
  } catch {
    return undefined;
  }
}
