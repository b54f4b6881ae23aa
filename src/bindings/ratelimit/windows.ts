/** Counts calls in fixed windows. Pure but for the map that it is given; the caller passes the time in. */

interface Window {
  /** When it began, in ms since the epoch: a multiple of its length. */
  readonly began: number;
  count: number;
}

/** By key, ordered by when each window's first call came, oldest first. */
export type Windows = Map<string, Window>;

interface Limit {
  /** Calls that succeed in each window. */
  readonly limit: number;
  readonly lengthMs: number;
  /** Keys counted at once. Beyond that the oldest window is forgotten, and its key counts from zero again. */
  readonly maxKeys: number;
}

/**
 * Counts a call, and says whether it is within the limit of its window.
 *
 * @param now in ms since the epoch
 */
export function withinLimit(
  windows: Windows,
  key: string,
  { limit, lengthMs, maxKeys }: Limit,
  now: number,
): boolean {
  const began = now - (now % lengthMs);
  let window = windows.get(key);
  if (window === undefined || window.began !== began) {
    window = { began, count: 0 };
    windows.delete(key);
    windows.set(key, window);
    if (windows.size > maxKeys) windows.delete(windows.keys().next().value as string);
  }
  window.count++;
  return window.count <= limit;
}
