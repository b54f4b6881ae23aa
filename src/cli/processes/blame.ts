/** Which version is to blame for the ends of a kind of process. Pure. */

export interface Suspect {
  readonly worker: string;
  readonly version: string;
  /** Whether all that it had under way were events that are held if they end their process twice (versions/held.ts). */
  readonly isEvent?: boolean;
  /** Whether it ran as a rollout's baseline: beside the candidate, and with the code of the stable version. */
  readonly isBaseline?: boolean;
}

/** A version with work under way when a process ended, and how often that was so. */
interface Record extends Suspect {
  ends: number;
  /** When it was so last, in ms. */
  at: number;
}

/** After this time without an end, in ms, a version is suspected no longer. */
export const FORGET_MS = 600_000;

/** How many ends a version must have been at to be to blame for the last one. */
export interface Rule {
  /** Where it was the only one. */
  readonly alone: number;
  /** Where others were there too, but none at as many ends. */
  readonly among: number;
}

export class Blame {
  readonly #rule: Rule;
  readonly #records = new Map<string, Record>();

  constructor(rule: Rule) {
    this.#rule = rule;
  }

  /**
   * Takes in an end of the process.
   *
   * @param running versions with work under way. None says nothing
   * @param now in ms
   * @returns the version that is to blame, if it is known
   */
  ended(running: readonly Suspect[], now: number): Suspect | undefined {
    for (const [version, { at }] of this.#records) if (now - at > FORGET_MS) this.#records.delete(version);
    const found = new Map(running.map((suspect) => [suspect.version, suspect]));
    const records = [...found].map(([version, suspect]) => {
      const record = { ...suspect, ends: (this.#records.get(version)?.ends ?? 0) + 1, at: now };
      this.#records.set(version, record);
      return record;
    });
    const most = Math.max(...records.map(({ ends }) => ends));
    const [first, other] = records.filter(({ ends }) => ends === most);
    const needed = records.length === 1 ? this.#rule.alone : this.#rule.among;
    if (first === undefined || other !== undefined || most < needed) return undefined;
    this.#records.delete(first.version);
    return { worker: first.worker, version: first.version };
  }

  /** The versions that may be to blame. */
  get suspected(): string[] {
    return [...this.#records.keys()];
  }
}
