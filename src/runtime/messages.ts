/** Messages to the processes that follow deployments. */
import type { DeploymentRecord, RoutesRecord } from "../versions/record.ts";

/** What a process is told about versions and deployments. */
export type FollowerMessage =
  /** Load versions. Without any, the answer only shows that the process serves. */
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
  | { readonly type: "tidy" }
  /** From the supervisor: other processes that are up, by name. The others are being restarted. */
  | {
      readonly type: "processes";
      readonly up: readonly string[];
      /** Versions that may have ended the canary process. They run one at a time. */
      readonly suspected: readonly string[];
      /** Whether the process that is told has few descriptors left. */
      readonly isShort: boolean;
    };

/** The answer to a message: why versions cannot be prepared, or null. */
export interface FollowerReply {
  readonly why: string | null;
  /** To `processes`: versions with requests under way in the canary process. */
  readonly running?: readonly { readonly worker: string; readonly version: string }[];
}
