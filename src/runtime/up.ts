/** Which processes of the server are up, as the supervisor last said. */

let up: ReadonlySet<string> | undefined;
const waiting = new Set<() => void>();

/** @param names of all processes that are up */
export function setUp(names: readonly string[]): void {
  up = new Set(names);
  for (const changed of waiting) changed();
}

/** Whether a process is up; all are until the supervisor has said otherwise. */
export function isUp(name: string): boolean {
  return up?.has(name) ?? true;
}

/** Resolves once the process is known to be down. @param signal ends the wait; it rejects then */
export function whenDown(name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (isUp(name)) return;
      waiting.delete(check);
      resolve();
    };
    signal.addEventListener("abort", () => {
      waiting.delete(check);
      reject(new Error("nobody waits any longer"));
    });
    waiting.add(check);
    check();
  });
}
