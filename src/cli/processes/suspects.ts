/**
 * What follows from the ends of processes: which versions run one at a time, which run elsewhere, and which must not run.
 * Pure: times are in ms of one clock, and passed in.
 */
import type { Lane } from "../../versions/placement.ts";
import { Blame, FORGET_MS, type Suspect } from "./blame.ts";

/** First and longest pause of a version, in ms. It doubles each time. */
const PAUSE_MS = { first: 30_000, longest: 600_000 };

interface Measure {
  readonly suspect: Suspect;
  readonly until: number;
  readonly times: number;
}

/** What a process is told. */
interface Instructions {
  readonly suspected: readonly string[];
  readonly confined: readonly Suspect[];
  readonly paused: readonly string[];
  readonly isWitnessed: boolean;
}

export class Suspects {
  /** The router knows which candidates it has sent requests to, from the first end on; they run one at a time after it. */
  readonly #candidates = new Blame({ alone: 2, among: Number.POSITIVE_INFINITY });
  /** Elsewhere, calls are witnessed from the first end on, which itself blames nobody. */
  readonly #others = new Blame({ alone: 1, among: 2 });
  /** Until when the processes of a lane say which calls are under way. */
  readonly #witnessed = new Map<Lane, number>();
  /** Stable versions, by id: the process of candidates has no other stable version to harm. */
  readonly #confined = new Map<string, Measure>();
  /** Versions that no other process could run, by id. */
  readonly #paused = new Map<string, Measure & { readonly lane: Lane }>();

  /**
   * Takes in the end of a process. A baseline is never suspected: it is there for the comparison only, and waits while
   * any candidate is suspected. So the candidate is alone at its second end.
   *
   * @param running versions with work under way there
   * @returns the one that is to blame, if it is known
   */
  ended(lane: Lane, running: readonly Suspect[], now: number): Suspect | undefined {
    if (lane === "canary") {
      const candidates = running.filter(({ isBaseline }) => isBaseline !== true);
      return this.#candidateEnded(candidates, now);
    }
    this.#witnessed.set(lane, now + FORGET_MS);
    const culprit = this.#others.ended(running, now);
    if (culprit === undefined) return undefined;
    const { version } = culprit;
    if (lane === "traffic")
      this.#confined.set(version, { suspect: culprit, until: now + FORGET_MS, times: 1 });
    else {
      const isEvent = running.find((each) => each.version === version)?.isEvent === true;
      // An event is held from now on, which spares the Worker's other events the first pause.
      const times = (this.#paused.get(version)?.times ?? (isEvent ? -1 : 0)) + 1;
      const pause = times === 0 ? 0 : Math.min(PAUSE_MS.first * 2 ** (times - 1), PAUSE_MS.longest);
      this.#paused.set(version, { suspect: culprit, until: now + pause, times, lane });
    }
    return culprit;
  }

  #candidateEnded(running: readonly Suspect[], now: number): Suspect | undefined {
    for (const { version } of running) {
      const measure = this.#confined.get(version);
      if (measure !== undefined) this.#confined.set(version, { ...measure, until: now + FORGET_MS });
    }
    return this.#candidates.ended(running, now);
  }

  /** @returns what a process of this lane has to know */
  instructionsTo(lane: Lane, now: number): Instructions {
    const confined = [...this.#confined.values()].filter(({ until }) => until > now);
    const isConfined = (version: string) => confined.some(({ suspect }) => suspect.version === version);
    const paused = [...this.#paused.values()].filter((each) => each.lane === lane && each.until > now);
    return {
      // A confined version has no other one that could serve while it waits.
      suspected: this.#candidates.suspected.filter((version) => !isConfined(version)),
      confined: confined.map(({ suspect }) => suspect),
      paused: paused.map(({ suspect }) => suspect.version),
      isWitnessed: (this.#witnessed.get(lane) ?? 0) > now,
    };
  }

  /** When the instructions change by themselves next; undefined if they do not. */
  changesAt(now: number): number | undefined {
    const times = [
      ...[...this.#confined.values(), ...this.#paused.values()].map(({ until }) => until),
      ...this.#witnessed.values(),
    ].filter((time) => time > now);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}
