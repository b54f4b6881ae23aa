/** The events that run in this process, so that the server can stop it between two of them. */

let events = 0;
let isAboutToStop = false;

/** Runs an event that has to end before the process does. */
export async function counted<Result>(run: () => Result): Promise<Awaited<Result>> {
  events++;
  try {
    return await run();
  } finally {
    events--;
  }
}

/** From now on the process begins no alarm, batch or cron. @returns the number of events under way */
export function beginNothing(): number {
  isAboutToStop = true;
  return events;
}

/** Whether the process is about to stop: it begins nothing that may last. */
export function isStopping(): boolean {
  return isAboutToStop;
}
