/**
 * Watches every process. One that is silent while it uses the processor hangs, and one that uses too much memory would
 * have the system end it, or another program: nothing can stop code inside a process, so the process is ended and started
 * again. The others are told which processes are up.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { FollowerMessage, FollowerReply, ProcessesMessage } from "../../runtime/messages.ts";
import type { Cause, Findings, Found } from "../../versions/incident.ts";
import type { Lane } from "../../versions/placement.ts";
import type { Logger } from "../logger.ts";
import type { Suspect } from "./blame.ts";
import { Descriptors } from "./descriptors.ts";
import { post } from "./post.ts";
import { cpuOf, memoryOf } from "./proc.ts";
import type { RuntimeEvent, WorkerdProcess } from "./process.ts";
import { Suspects } from "./suspects.ts";
import { Witness } from "./witness.ts";

/** How long an announcement waits for the answer of one process, in ms. */
const ANNOUNCE_MS = 500;
/** Pause between two questions to a process, in ms. */
const ASK_MS = 250;
/**
 * Processor time without an answer, as a share of the silence that counts. A process that is stopped or waits for the disk
 * uses none; on a busy machine, one that is well is silent for long, but answers after little of its own time.
 */
const BUSY = 0.9;
/** How much longer a process may be silent that is told to end. */
const DRAINING = 5;
/** If the supervisor's own timer is this late, in ms, the machine is too busy or was asleep: nobody's silence counts. */
const LATE_MS = 1_000;
interface Watched {
  readonly lane: Lane;
  readonly process: WorkerdProcess;
  /** Unix socket of the process's `Follower`. */
  readonly socket: string;
}

interface State extends Watched {
  readonly witness: Witness;
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
  /** Called with a version that is to blame for the end of a process. */
  readonly harmful: (culprit: Suspect) => void;
  /** Called with each end of a process that was up. */
  readonly incident: (found: Found) => void;
}

export class Watchdog {
  readonly #options: WatchdogOptions;
  readonly #states: readonly State[];
  readonly #logger: Logger;
  readonly #suspects = new Suspects();
  readonly #descriptors: Descriptors;
  readonly #timer: NodeJS.Timeout;
  #tickedAt = performance.now();
  #changesAt: number | undefined;
  #isDraining = false;

  constructor(watched: readonly Watched[], options: WatchdogOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#states = watched.map((each) => ({
      ...each,
      witness: new Witness(),
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

  /** Call this when the processes are told to end: they no longer answer, and what they have under way may take its time. */
  drain(): void {
    this.#isDraining = true;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#descriptors.stop();
  }

  /** Call this when a process has ended by itself. */
  ended(name: string, evidence: Findings): void {
    const state = this.#stateOf(name);
    if (state === undefined || !state.isUp) return;
    this.#logger.log("error", "process-ended", { process: name, ...evidence });
    void this.#isDown(state, "ended", evidence);
  }

  /** Call this when a process listens again. */
  listening(name: string): void {
    const state = this.#stateOf(name);
    if (state === undefined) return;
    state.isUp = true;
    this.#heard(state);
    void this.#announce();
  }

  /** Call this with what a process says. @returns whether it was meant for the watchdog */
  told(name: string, event: RuntimeEvent): boolean {
    return this.#stateOf(name)?.witness.heard(event, performance.now()) ?? false;
  }

  /** What a process of this lane has to know. @param starting name of the process, if it is only about to start */
  messageTo(lane: Lane, ...starting: readonly string[]): ProcessesMessage {
    const up = [...this.#up.map(({ process }) => process.name), ...starting];
    return {
      type: "processes",
      up,
      isShort: false,
      ...this.#suspects.instructionsTo(lane, performance.now()),
    };
  }

  get #up(): readonly State[] {
    return this.#states.filter(({ isUp }) => isUp);
  }

  #stateOf(name: string): State | undefined {
    return this.#states.find(({ process }) => process.name === name);
  }

  async #isDown(state: State, cause: Cause, evidence: Findings): Promise<void> {
    const { process, lane, witness } = state;
    state.isUp = false;
    const lost = await this.#announce();
    const now = performance.now();
    const suspects = lane === "canary" ? lost : witness.take(now);
    const culprit = this.#suspects.ended(lane, suspects, now);
    const running = suspects.map(({ worker, version }) => ({ worker, version }));
    if (running.length > 0) {
      this.#logger.log("warn", "versions-suspected", {
        process: process.name,
        running: running.map(({ version }) => version),
        culprit: culprit?.version ?? null,
      });
    }
    if (culprit !== undefined) this.#options.harmful(culprit);
    this.#options.incident({
      process: process.name,
      cause,
      evidence,
      versions: running,
      culprit: culprit ?? null,
    });
    await this.#announce();
  }

  /** Tells every process which ones are up. @returns the versions that had requests under way in the canary process */
  async #announce(): Promise<Suspect[]> {
    this.#changesAt = this.#suspects.changesAt(performance.now());
    const replies = await Promise.all(
      this.#up.map(({ socket, lane, process }) =>
        // One that does not answer hangs too, or will hear of it with the next announcement.
        Promise.race([
          tell(socket, { ...this.messageTo(lane), isShort: this.#descriptors.isShort(process.name) }),
          later(),
        ]),
      ),
    );
    return replies.flatMap((reply) => reply?.running ?? []);
  }

  #setShort(name: string, isShort: boolean, open: number): void {
    const event = isShort ? "descriptors-short" : "descriptors-enough";
    this.#logger.log(isShort ? "error" : "info", event, { process: name, open });
    void this.#announce();
  }

  #tick(): void {
    const now = performance.now();
    const isLate = now - this.#tickedAt > ASK_MS + LATE_MS;
    this.#tickedAt = now;
    if (this.#changesAt !== undefined && now > this.#changesAt) void this.#announce();
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
    this.#end(state, "hang", { silent_ms: Math.round(silentMs), busy_ms: busyMs });
  }

  /** Silence after which a process hangs, in ms. */
  get #hangMs(): number {
    return this.#options.hangMs * (this.#isDraining ? DRAINING : 1);
  }

  #endIfLarge(state: State): void {
    const mebibytes = memoryOf(state.process.pid);
    if (mebibytes <= this.#options.memoryMiB) return;
    this.#end(state, "memory", { mib: Math.round(mebibytes), limit_mib: this.#options.memoryMiB });
  }

  #end(state: State, cause: "hang" | "memory", evidence: Findings): void {
    const { process } = state;
    const event = cause === "hang" ? "process-hangs" : "process-too-large";
    this.#logger.log("error", event, { process: process.name, pid: process.pid, ...evidence });
    // First, so that nobody sends it anything more.
    void this.#isDown(state, cause, evidence);
    process.kill();
  }

  async #ask(state: State): Promise<void> {
    if (state.isAsking) return;
    state.isAsking = true;
    const { pid } = state.process;
    // As of its last answer: what it had served by then, it knows exactly.
    const cpu_ms = state.lane === "canary" ? state.cpuAt : undefined;
    const told = cpu_ms === undefined ? {} : { cpu_ms };
    const reply = await tell(state.socket, { type: "prepare", worker: "", instances: [], ...told });
    state.isAsking = false;
    if (reply !== undefined && state.process.pid === pid) this.#heard(state);
  }

  #heard(state: State): void {
    state.heardAt = performance.now();
    state.cpuAt = cpuOf(state.process.pid);
  }
}

/** @returns undefined if the process has not answered */
export async function tell(socket: string, message: FollowerMessage): Promise<FollowerReply | undefined> {
  try {
    return (await post<FollowerReply>(socket, "follower", JSON.stringify(message))).reply;
  } catch {
    return undefined;
  }
}

async function later(): Promise<undefined> {
  await sleep(ANNOUNCE_MS, undefined, { ref: false });
}
