/**
 * How many descriptors processes have open. workerd ends when it cannot accept a connection for want of one, so a process
 * that comes near its limit is told, and refuses requests until it has room again. Linux only.
 */
import { maxFiles, openOf } from "./proc.ts";

/** Pause between two looks, in ms. Clients can open thousands of connections in a second. */
const LOOK_MS = 50;
/** Shares of the limit: from the first one on, a process refuses requests, and below the second one it serves again. */
const SHORT = { from: 0.5, until: 0.4 };

/** Whether a process is short of descriptors. Pure. @param wasShort whether it was at the last look */
export function isShort(wasShort: boolean, open: number, limit: number): boolean {
  return open >= limit * (wasShort ? SHORT.until : SHORT.from);
}

/** Connections that the system may hold for a process until it accepts them, however high its limit is. */
const MAX_BACKLOG = 4_096;
/** The same as a share of its limit: a process that was busy accepts them all at once, with two descriptors for each. */
const BACKLOG = 0.1;

/** How many connections may wait for a process to accept them. Pure. */
export function backlogOf(limit: number): number {
  return Math.max(1, Math.min(MAX_BACKLOG, Math.floor(limit * BACKLOG)));
}

interface Process {
  readonly name: string;
  readonly pid: number | undefined;
}

/** Called when a process has become short of descriptors, or no longer is. */
type Changed = (name: string, isShort: boolean, open: number) => void;

export class Descriptors {
  /** Names of the processes that are short of descriptors. */
  readonly #short = new Set<string>();
  readonly #timer: NodeJS.Timeout;

  constructor(processes: readonly Process[], changed: Changed) {
    this.#timer = setInterval(() => {
      for (const process of processes) this.#look(process, changed);
    }, LOOK_MS);
    this.#timer.unref();
  }

  isShort(name: string): boolean {
    return this.#short.has(name);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look({ name, pid }: Process, changed: Changed): void {
    const was = this.#short.has(name);
    const open = openOf(pid) ?? 0;
    const is = isShort(was, open, DESCRIPTOR_LIMIT);
    if (is === was) return;
    if (is) this.#short.add(name);
    else this.#short.delete(name);
    changed(name, is, open);
  }
}

/** Descriptors that each process may have open; infinity where the system does not say. */
export const DESCRIPTOR_LIMIT = maxFiles();
