/** Names that Sluice reserves in a version: the modules and entrypoints that it adds. */

/** Uploads may not use names of modules, exports and entrypoints with this prefix. */
export const RESERVED_PREFIX = "__sluice";
export const WRAPPER_MODULE = "__sluice_main.js";
/** Sluice's code in every version: the clients of its bindings (bindings/client.ts). */
export const CLIENT_MODULE = "__sluice_client.js";
/** Entrypoint that takes batches for a version with a `queue` handler. */
export const QUEUE_ENTRYPOINT = "__sluice_queue__";
/** Entrypoint that takes the cron triggers of a version. */
export const SCHEDULED_ENTRYPOINT = "__sluice_scheduled__";

/** Prefix of both entrypoints' method names. The rest describes the event, for readers of traces. */
export const EVENT_METHOD = "event:";

/** The description of an event in a method name. */
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

/** A run of a cron trigger. Scheduled time in ms since the epoch. */
export interface ScheduledRun {
  readonly cron: string;
  readonly time: number;
}
