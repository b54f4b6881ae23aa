/** Messages to the processes that serve traffic. */
import type { DeploymentRecord, RoutesRecord } from "../versions/record.ts";

/** What a process is told about versions and deployments. */
export type FollowerMessage =
  | { readonly type: "prepare"; readonly worker: string; readonly versions: readonly string[] }
  | { readonly type: "publish"; readonly worker: string; readonly record: DeploymentRecord | null }
  | { readonly type: "routes"; readonly record: RoutesRecord }
  /** Trace the Worker's versions, or stop doing so. */
  | { readonly type: "tail"; readonly worker: string; readonly on: boolean }
  /** Send all counts now. */
  | { readonly type: "flush" }
  /** Unload the isolates that are due now. */
  | { readonly type: "sweep" }
  /** Have isolates unloaded when they are due. */
  | { readonly type: "tidy" };

/** The answer to a message: why versions cannot be prepared, or null. */
export interface FollowerReply {
  readonly why: string | null;
}
