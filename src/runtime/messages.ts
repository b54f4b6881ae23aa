/** What the control process and the traffic processes tell each other. */
import type { DeploymentRecord, RoutesRecord } from "../versions/record.ts";

/** What the control process tells a process that serves traffic in its stead. */
export type FollowerMessage =
  | { readonly type: "prepare"; readonly worker: string; readonly versions: readonly string[] }
  | { readonly type: "publish"; readonly worker: string; readonly record: DeploymentRecord | null }
  | { readonly type: "routes"; readonly record: RoutesRecord }
  /** Whether somebody watches the Worker's events. */
  | { readonly type: "tail"; readonly worker: string; readonly on: boolean }
  /** Send what has been counted, now. */
  | { readonly type: "flush" }
  /** Unload what is due, now. */
  | { readonly type: "sweep" }
  /** See to it that what will be due is unloaded then. */
  | { readonly type: "tidy" };

/** What that answers: why versions cannot be prepared, null for no reason. */
export interface FollowerReply {
  readonly why: string | null;
}
