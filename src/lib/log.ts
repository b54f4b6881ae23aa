type Level = "debug" | "info" | "warn" | "error";

/** One event as one JSON line. The Node side filters by level and formats for the terminal. */
export function log(level: Level, event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  console[level](JSON.stringify({ level, event, ...fields }));
}
