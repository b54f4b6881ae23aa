/**
 * When cron triggers fire. Pure. Expressions are Cloudflare's, in UTC: five fields, days of the week from 1 (Sunday) to 7, `L`,
 * `W` and `#` (https://developers.cloudflare.com/workers/configuration/cron-triggers/).
 */
import { Cron } from "croner";

/** A trigger of a Worker. Times are ISO 8601. */
export interface CronTrigger {
  readonly cron: string;
  readonly created_on: string;
  readonly modified_on: string;
}

/** A time at which a trigger fires, in ms since the epoch. */
export interface DueRun {
  readonly cron: string;
  readonly time: number;
}

function parse(cron: string): Cron {
  return new Cron(cron, { timezone: "UTC", mode: "5-part", alternativeWeekdays: true });
}

/** @param now in ms since the epoch @returns what is wrong with an expression, to complete a sentence that begins with it; undefined if it is valid */
export function refuseCron(cron: string, now: number): string | undefined {
  if (cron.trim().split(/\s+/).length !== 5) return "does not have five fields";
  try {
    return parse(cron).nextRun(new Date(now)) === null ? "never fires" : undefined;
  } catch (error) {
    return `is not valid (${(error as Error).message.replace(/^CronPattern: /, "")})`;
  }
}

/** The next time after `after` at which one of the expressions fires; undefined if none does. */
export function nextRun(crons: readonly string[], after: number): number | undefined {
  const times = crons.flatMap((cron) => parse(cron).nextRun(new Date(after))?.getTime() ?? []);
  return times.length === 0 ? undefined : Math.min(...times);
}

/**
 * The runs that are due: for each expression, its latest time in `(since, now]`. If the server missed several times of an
 * expression, only the latest one runs.
 */
export function dueRuns(crons: readonly string[], since: number, now: number): DueRun[] {
  return crons.flatMap((cron) => {
    // The last time up to now, which the library counts as "before" the next millisecond.
    const [time] = parse(cron).previousRuns(1, new Date(now + 1));
    return time !== undefined && time.getTime() > since ? [{ cron, time: time.getTime() }] : [];
  });
}
