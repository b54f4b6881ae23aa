/** Which version is to blame for the ends of the process that runs candidates. Pure. */

export interface Suspect {
  readonly worker: string;
  readonly version: string;
}

/** A version with requests under way when the process ended, and how often that was so. */
interface Record extends Suspect {
  ends: number;
  /** When it was so last, in ms. */
  at: number;
}

/** After this time without an end, in ms, a version is suspected no longer. */
const FORGET_MS = 600_000;

export class Blame {
  readonly #records = new Map<string, Record>();

  /**
   * Takes in an end of the process. A version is to blame if it ran alone at this end, and ran at one before. Suspects run
   * one at a time, so the second end usually shows which one it was.
   *
   * @param running versions with requests under way. None says nothing
   * @param now in ms
   */
  ended(running: readonly Suspect[], now: number): Suspect | undefined {
    for (const [version, { at }] of this.#records) if (now - at > FORGET_MS) this.#records.delete(version);
    const found = new Map(running.map((suspect) => [suspect.version, suspect]));
    for (const [version, suspect] of found) {
      const ends = (this.#records.get(version)?.ends ?? 0) + 1;
      this.#records.set(version, { ...suspect, ends, at: now });
    }
    const [only] = found.values();
    if (found.size !== 1 || only === undefined || (this.#records.get(only.version)?.ends ?? 0) < 2)
      return undefined;
    this.#records.delete(only.version);
    return { worker: only.worker, version: only.version };
  }

  /** The versions that must run one at a time. */
  get suspected(): string[] {
    return [...this.#records.keys()];
  }
}
