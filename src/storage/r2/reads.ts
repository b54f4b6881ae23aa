/**
 * The reads under way in this process. A read opens the files of a content one after the other, so those of an object
 * that is replaced meanwhile are kept until the read ends. A file that is open can be deleted: its bytes stay readable.
 *
 * The service and the index are in one isolate and share this. If the process ends, so do its reads.
 */
import { KEPT } from "./limits.ts";

export interface Read {
  readonly content: string;
  /** When it last opened a file, in ms since the epoch. */
  at: number;
}

export class Reads {
  readonly #reads = new Set<Read>();

  begin(content: string, now: number): Read {
    const read = { content, at: now };
    this.#reads.add(read);
    return read;
  }

  end(read: Read): void {
    this.#reads.delete(read);
  }

  /** Also gives up reads that have stopped: whoever cancels one does not always end it. */
  isUnderWay(content: string, now: number): boolean {
    let found = false;
    for (const read of this.#reads) {
      if (read.at + KEPT.readMs < now) this.#reads.delete(read);
      else if (read.content === content) found = true;
    }
    return found;
  }
}

/** The reads of this process. */
export const reads = new Reads();
