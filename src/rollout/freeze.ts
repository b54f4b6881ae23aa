/** Windows of time in which no stage of a rollout begins. Pure. */
import { Cron } from "croner";

/** Begins at each time that matches a cron expression, and lasts for some hours. */
export interface FreezeWindow {
  /** Five fields: minute, hour, day of the month, month, day of the week (0 to 7, Sunday is 0 and 7). */
  readonly cron: string;
  /** More than 0, at most 336. Hours that pass: the day on which clocks are changed has 23 or 25 of them. */
  readonly hours: number;
  /** IANA name, e.g. Europe/Berlin. */
  readonly timezone: string;
}

/** Two weeks. */
const LONGEST_HOURS = 336;
/** Windows in a row that are followed to the end of the last one. Some plans are always frozen. */
const FOLLOWED = 20;

/** @returns what is wrong with the window as the rest of a sentence that begins with "the plan"; undefined where it is valid */
export function checkWindow(window: FreezeWindow): string | undefined {
  const why = flawOf(window);
  return why && `has a freeze window that is not valid: "${window.cron}" ${why}`;
}

function flawOf({ cron, hours, timezone }: FreezeWindow): string | undefined {
  if (!(hours > 0 && hours <= LONGEST_HOURS)) {
    return `lasts ${hours} hours; use more than 0 and at most ${LONGEST_HOURS}`;
  }
  if (cron.trim().split(/\s+/).length !== 5) return "does not have five fields";
  try {
    new Intl.DateTimeFormat("en", { timeZone: timezone });
  } catch {
    return `names the time zone "${timezone}", which is not known; use a name such as Europe/Berlin`;
  }
  try {
    return parse(cron, timezone).nextRun() === null ? "never begins" : undefined;
  } catch (error) {
    return `is not valid (${(error as Error).message.replace(/^CronPattern: /, "")})`;
  }
}

/**
 * When no window is open any more, in ms since the epoch; undefined where none is open at `now`. Windows that overlap or
 * follow each other count as one.
 *
 * @param windows valid ones
 * @param now in ms since the epoch
 */
export function frozenUntil(windows: readonly FreezeWindow[], now: number): number | undefined {
  let until = now;
  for (let i = 0; i < FOLLOWED; i++) {
    const end = Math.max(until, ...windows.map((window) => endOf(window, until)));
    if (end === until) break;
    until = end;
  }
  return until === now ? undefined : until;
}

/** When the window ends that began last at or before a time. */
function endOf({ cron, hours, timezone }: FreezeWindow, time: number): number {
  // The library counts a time as "before" the next millisecond.
  const [began] = parse(cron, timezone).previousRuns(1, new Date(time + 1));
  return began === undefined ? Number.NEGATIVE_INFINITY : began.getTime() + hours * 3_600_000;
}

function parse(cron: string, timezone: string): Cron {
  return new Cron(cron, { timezone, mode: "5-part" });
}
