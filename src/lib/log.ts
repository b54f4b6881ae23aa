type Level = "debug" | "info" | "warn" | "error";

/** Precedes each event in the process's output. Versions print there too, and one could otherwise invent an event. */
let key = "";

/** @param secret that the supervisor has given to the process */
export function setLogKey(secret: string): void {
  key = secret;
}

/** One event as one JSON line. The Node side filters by level and formats for the terminal. */
export function log(level: Level, event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  console[level](key + JSON.stringify({ level, event, ...fields }));
}
