/** Names of modules that Sluice adds to a version. */

/** Uploads may not use names that begin like this. */
export const RESERVED_MODULE_PREFIX = "__sluice";
export const WRAPPER_MODULE = "__sluice_main.js";
/** What versions have besides their own code (client/). */
export const CLIENT_MODULE = "__sluice_client.js";
/** Entrypoint through which batches come to a version that has a `queue` handler. */
export const QUEUE_ENTRYPOINT = "__sluice_queue__";
/** Entrypoint through which cron triggers come to a version. */
export const SCHEDULED_ENTRYPOINT = "__sluice_scheduled__";

/** Begins the names of both entrypoints' methods; the rest describes the event, for those who read traces. */
export const EVENT_METHOD = "event:";

/** What the name of such a method says. */
export interface EventInfo {
  readonly [name: string]: string | number;
}

export function eventMethod(info: EventInfo): string {
  return EVENT_METHOD + JSON.stringify(info);
}

/** Main module of an upload in service-worker syntax. */
export const SERVICE_WORKER_MODULE = "__sluice_service_worker.js";
/** Main module of an upload that has assets and no code. */
export const ASSETS_ONLY_MODULE = "__sluice_assets_only.js";

/** A run of a cron trigger, with the time that it is for in ms since the epoch. */
export interface ScheduledRun {
  readonly cron: string;
  readonly time: number;
}
