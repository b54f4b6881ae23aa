/** What this process does for other processes, so that the server can stop it between two calls. Counts only. */

let calls = 0;
let isAboutToStop = false;

/** Makes a call that has to end before the process does. */
export async function counted<Result>(call: () => Result): Promise<Awaited<Result>> {
  calls++;
  try {
    return await call();
  } finally {
    calls--;
  }
}

/** From now on the process begins no alarm, batch or cron. @returns the number of calls under way */
export function beginNothing(): number {
  isAboutToStop = true;
  return calls;
}

/** Whether the process is about to stop: it begins nothing that may last. */
export function isStopping(): boolean {
  return isAboutToStop;
}
