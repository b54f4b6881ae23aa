/** Cron triggers: from Sluice's call to the version's `scheduled` handler. */
import type { ScheduledRun } from "../../versions/names.ts";
import { eventEntrypoint } from "../shared/event-entrypoint.ts";

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
    // A run is never repeated.
  }
}

/** The entrypoint through which cron triggers come to a version. */
export function scheduledEntrypoint(main: Handler) {
  return eventEntrypoint(main, async (handler: Handler, run: ScheduledRun, env, ctx) => {
    await handler.scheduled(new ScheduledController(run), env, ctx);
  });
}
