/** Waits for the end of a rollout, through restarts of the server. */
import { setTimeout as sleep } from "node:timers/promises";
import { NoAnswer } from "./api.ts";
import { type RolloutView, toLine, toText } from "./rollout-text.ts";

const INTERVAL_MS = 1_000;

/** Exit code of a command whose `--timeout` is over. */
export const TIMED_OUT = 4;

/** Exit code of `--wait` and `watch`: 0 promoted, 2 rolled back, 3 aborted or waiting for an operator. */
export function exitCode({ phase }: Pick<RolloutView, "phase">): number {
  return phase === "promoted" ? 0 : phase === "rolled_back" ? 2 : 3;
}

/** Whether time, traffic or the end of a freeze window can move it on. */
function goesOnByItself({ waiting }: RolloutView): boolean {
  return waiting !== null && waiting !== "operator";
}

/** Where `watch` writes: in place on a terminal, line by line elsewhere. */
export interface Screen {
  readonly print: (text: string) => void;
  /** For what is not about the rollout. */
  readonly warn: (text: string) => void;
  readonly isTerminal: boolean;
}

export interface Watching {
  /** Asks the server for the rollout. */
  readonly ask: () => Promise<RolloutView>;
  readonly screen: Screen;
  /** Ends the wait. It should end what `ask` waits for as well. */
  readonly signal?: AbortSignal | undefined;
  /** Pause between two questions, in ms. */
  readonly pauseMs?: number;
}

/** The rollout as it was seen last; undefined where the server never answered. */
export interface Watched {
  readonly rollout: RolloutView | undefined;
  readonly isTimedOut: boolean;
}

/**
 * Shows a rollout until it ends or needs an operator, or the signal ends the wait. A server that does not answer is asked
 * again, which is said once for each time that it is away. Throws what the server refuses.
 */
export async function watch({ ask, screen, signal, pauseMs = INTERVAL_MS }: Watching): Promise<Watched> {
  let rollout: RolloutView | undefined;
  let isAway = false;
  for (;;) {
    try {
      const found = await ask();
      show(screen, found, rollout);
      rollout = found;
      isAway = false;
      if (!goesOnByItself(found)) return { rollout, isTimedOut: false };
    } catch (error) {
      if (signal?.aborted) return { rollout, isTimedOut: true };
      if (!(error instanceof NoAnswer)) throw error;
      if (!isAway) screen.warn(`The server does not answer, and is asked until it does. ${error.message}`);
      isAway = true;
    }
    // An end of the signal is found below.
    await sleep(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
    if (signal?.aborted) return { rollout, isTimedOut: true };
  }
}

/** A log gets a line where the phase, the stage or the reason has changed. */
function show({ print, isTerminal }: Screen, rollout: RolloutView, before: RolloutView | undefined): void {
  const { phase, reason, waiting } = rollout;
  const isSame = phase === before?.phase && reason === before.reason && waiting === before.waiting;
  if (isTerminal) print(`\u001b[2J\u001b[H${toText(rollout)}`);
  else if (!isSame) print(toLine(rollout));
}
