/** What a process has said of the calls that are under way in it (src/runtime/witness.ts). Pure. */
import type { Suspect } from "./blame.ts";
import type { RuntimeEvent } from "./process.ts";

/** How long after the end of a call its version may still have ended the process, in ms: it may work on behind an answer. */
const BEHIND_MS = 10_000;
/** Ended calls that are remembered. Bounds the memory of a busy process. */
const MAX_ENDED = 100;

export class Witness {
  readonly #calls = new Map<number, Suspect>();
  readonly #ended: { readonly suspect: Suspect; readonly at: number }[] = [];

  /** @param now in ms. @returns whether the event is about calls */
  heard({ event, call, worker, version, isEvent }: RuntimeEvent, now: number): boolean {
    if (event === "call-begins") {
      const suspect = { worker: String(worker), version: String(version), isEvent: isEvent === true };
      this.#calls.set(Number(call), suspect);
      return true;
    }
    if (event !== "call-ends") return false;
    const suspect = this.#calls.get(Number(call));
    this.#calls.delete(Number(call));
    if (suspect !== undefined) this.#ended.push({ suspect, at: now });
    if (this.#ended.length > MAX_ENDED) this.#ended.shift();
    return true;
  }

  /** Call this when the process has ended. @param now in ms. @returns versions with calls under way, or with the last ones */
  take(now: number): Suspect[] {
    const running = [...this.#calls.values()];
    const behind = this.#ended.filter(({ at }) => now - at <= BEHIND_MS).map(({ suspect }) => suspect);
    this.#calls.clear();
    this.#ended.length = 0;
    const found = running.length > 0 ? running : behind;
    const suspects = new Map<string, Suspect>();
    for (const suspect of found) {
      const isEvent = suspect.isEvent === true && suspects.get(suspect.version)?.isEvent !== false;
      suspects.set(suspect.version, { ...suspect, isEvent });
    }
    return [...suspects.values()];
  }
}
