/** Names of modules that Sluice adds to a version. */

/** Uploads may not use names that begin like this. */
export const RESERVED_MODULE_PREFIX = "__sluice";
export const WRAPPER_MODULE = "__sluice_main.js";
/** What versions have besides their own code (client/). */
export const CLIENT_MODULE = "__sluice_client.js";
/** Entrypoint through which batches come to a version that has a `queue` handler. */
export const QUEUE_ENTRYPOINT = "__sluice_queue__";
/** Main module of an upload in service-worker syntax. */
export const SERVICE_WORKER_MODULE = "__sluice_service_worker.js";
