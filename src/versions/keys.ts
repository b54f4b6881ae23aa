/** The KV keys that the registry writes. docs/storage.md has an example of each value. */

/** The active deployment of a Worker. */
export const deploymentKey = (worker: string): string => `deployment/${worker}`;
/** Code and bindings of a version. */
export const versionKey = (id: string): string => `version/${id}`;
/** The version served at `<label>.<domain>`. */
export const previewKey = (label: string): string => `preview/${label}`;
/** Custom domains and routes of all Workers. */
export const ROUTES_KEY = "routes";
