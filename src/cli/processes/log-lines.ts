/**
 * What a process prints, within limits: a version that logs without end must not fill the supervisor's memory or the disk.
 * The process is always read from, since one that waits for its reader hangs. Pure: the caller passes the time in.
 */
import { MIB } from "../../lib/bytes.ts";

export const LOG_LIMITS = {
  /** Bytes of one line. The rest of it is cut off. */
  lineBytes: 16 * 1024,
  /** Lines of one process in a second. */
  lines: 1_000,
  /** Bytes of one process in a second. */
  bytes: 1 * MIB,
} as const;

const NEWLINE = 10;

/** A line, without its end where it was too long. */
export interface Line {
  readonly text: string;
  /** Bytes of that text. */
  readonly bytes: number;
  readonly isCut: boolean;
}

/** Splits output into lines, and holds at most one line's limit of bytes. */
export class LineSplitter {
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isCut = false;

  /** @returns the lines that end in this chunk */
  *push(chunk: Buffer): Generator<Line> {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      this.#hold(chunk.subarray(from, end));
      yield this.#take();
      from = end + 1;
    }
    this.#hold(chunk.subarray(from));
  }

  #hold(part: Buffer): void {
    const room = LOG_LIMITS.lineBytes - this.#heldBytes;
    if (part.length > room) this.#isCut = true;
    const kept = part.subarray(0, room);
    if (kept.length === 0) return;
    // A copy: the part would keep its whole chunk in memory.
    this.#held.push(Buffer.from(kept));
    this.#heldBytes += kept.length;
  }

  #take(): Line {
    const text = Buffer.concat(this.#held).toString();
    const line = { text, bytes: this.#heldBytes, isCut: this.#isCut };
    this.#held = [];
    this.#heldBytes = 0;
    this.#isCut = false;
    return line;
  }
}

/** Lets the lines of each second through until one of the limits is reached, and counts the others. */
export class LogBudget {
  #second = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #bytes = 0;
  #dropped = 0;

  /** @param now in ms */
  allows(bytes: number, now: number): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lines = 0;
      this.#bytes = 0;
    }
    if (this.#lines >= LOG_LIMITS.lines || this.#bytes >= LOG_LIMITS.bytes) {
      this.#dropped++;
      return false;
    }
    this.#lines++;
    this.#bytes += bytes;
    return true;
  }

  /** How many lines were dropped since it was last asked. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}

/** A line of workerd's log. */
export interface Printed {
  readonly level: string;
  readonly message: string;
}

/** workerd prints one JSON object per line, but plain text before it has read its configuration. */
export function readPrinted({ text, isCut }: Pick<Line, "text" | "isCut">): Printed {
  try {
    const { level, message } = JSON.parse(isCut ? `${withoutHalfEscape(text)}… (cut)"}` : text);
    if (typeof level === "string" && typeof message === "string") return { level, message };
  } catch {
    // It is plain text.
  }
  return { level: "error", message: text };
}

/** The text of a JSON string that ends anywhere, so that a quote can follow. */
function withoutHalfEscape(text: string): string {
  const whole = text.replace(/\\u[0-9a-fA-F]{0,3}$/, "");
  const backslashes = /\\*$/.exec(whole)?.[0].length ?? 0;
  return backslashes % 2 === 1 ? whole.slice(0, -1) : whole;
}
