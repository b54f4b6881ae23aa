/** Cron triggers for a version's code: Sluice's call runs its `scheduled` handler. */
import { eventEntrypoint } from "../shared/event-entrypoint.ts";
import type { ScheduledRun } from "./types.ts";

interface Handler {
  scheduled(controller: object, env: unknown, ctx: unknown): unknown;
}

class ScheduledController {
  readonly scheduledTime: number;
  readonly cron: string;

  constructor({ cron, time }: ScheduledRun) {
    this.scheduledTime = time;
    this.cron = cron;
  }

  noRetry(): void {
    // Sluice never retries a run.
  }
}

/** The entrypoint that passes cron triggers to a version's `scheduled` handler. */
export function scheduledEntrypoint(main: Handler) {
  return eventEntrypoint(main, async (handler: Handler, run: ScheduledRun, env, ctx) => {
    await handler.scheduled(new ScheduledController(run), env, ctx);
  });
}
