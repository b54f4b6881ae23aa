/** The server's log: one JSON object per line, or a short text on a terminal. */
import { LOG_LEVELS } from "./config.ts";

export type Level = (typeof LOG_LEVELS)[number];

export interface Logger {
  log(level: Level, event: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Logs a line that the runtime or a version printed. */
  fromRuntime(level: string, message: string): void;
}

/** With V8 flags, workerd prints this about its own compile cache at every start. Operators need not act on it. */
const EXPECTED = "NOSENTRY per-isolate bootstrap compile cache failed its compatibility check";

/** @param pretty text for a terminal instead of JSON */
export function createLogger(
  least: Level,
  pretty: boolean,
  output: NodeJS.WritableStream = process.stdout,
): Logger {
  const rank = (level: Level) => LOG_LEVELS.indexOf(level);

  function log(level: Level, event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    if (rank(level) < rank(least)) return;
    const time = new Date().toISOString();
    const line = pretty
      ? `${time.slice(11, 23)} ${level.padEnd(5)} ${event}${Object.entries(fields)
          .map(([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
          .join("")}`
      : JSON.stringify({ time, level, event, ...fields });
    output.write(`${line}\n`);
  }

  return {
    log,
    fromRuntime(level, message) {
      if (message.startsWith(EXPECTED)) return;
      log(toLevel(level), "runtime", { message });
    },
  };
}

function toLevel(level: string): Level {
  return (LOG_LEVELS as readonly string[]).includes(level) ? (level as Level) : "info";
}
