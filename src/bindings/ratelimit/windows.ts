/** Counting in fixed windows. Pure but for the map that it is given; time is passed in. */

interface Window {
  /** When it began, in ms since the epoch: a multiple of its length. */
  readonly began: number;
  count: number;
}

/** By key, the one that was begun longest ago first. */
export type Windows = Map<string, Window>;

/** How calls are limited. */
export interface RateLimit {
  /** Calls that a window lets through. */
  readonly limit: number;
  /** Length of a window. */
  readonly lengthMs: number;
  /** Keys counted at once. Beyond it, the oldest window is forgotten and its key starts anew. */
  readonly maxKeys: number;
}

/** Counts a call, and says whether it is within the limit of its window. @param now in ms since the epoch */
export function withinLimit(
  windows: Windows,
  key: string,
  { limit, lengthMs, maxKeys }: RateLimit,
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
