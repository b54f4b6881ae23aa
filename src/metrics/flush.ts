/** Lets those who read counts ask this isolate's meters for what they have not sent yet. */

const meters = new Set<() => Promise<void>>();

/** @param flush sends what there is. Never rejects */
export function onFlush(flush: () => Promise<void>): void {
  meters.add(flush);
}

export async function flushCounts(): Promise<void> {
  await Promise.all([...meters].map((flush) => flush()));
}
