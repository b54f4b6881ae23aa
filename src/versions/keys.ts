/** The keys of the replica in KV. docs/storage.md has an example of each value. */

/** The active deployment of a Worker. */
export const deploymentKey = (worker: string): string => `deployment/${worker}`;
/** Code and bindings of a version. */
export const versionKey = (id: string): string => `version/${id}`;
