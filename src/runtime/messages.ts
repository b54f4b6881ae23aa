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
  /** The server is about to stop: begin no alarm, batch or cron. */
  | { readonly type: "stop" }
  | ProcessesMessage;

/** From the supervisor: which processes are up, and what to do about versions that have ended one. */
export interface ProcessesMessage {
  readonly type: "processes";
  /** By name. The others are being restarted. */
  readonly up: readonly string[];
  /** Versions that may have ended the canary process. They run one at a time. */
  readonly suspected: readonly string[];
  /** Stable versions that ended a traffic process. They run in the canary process for a while. */
  readonly confined: readonly { readonly worker: string; readonly version: string }[];
  /** Versions that ended the process that is told, and must not run there for a while. */
  readonly paused: readonly string[];
  /** Whether to say which calls are under way. */
  readonly isWitnessed: boolean;
  /** Whether the process that is told has few descriptors left. */
  readonly isShort: boolean;
}

/** The answer to a message: why versions cannot be prepared, or null. */
export interface FollowerReply {
  readonly why: string | null;
  /** To `stop`: how many alarms, batches and crons are under way. */
  readonly events?: number;
  /** To `processes`: versions with requests under way in the canary process. */
  readonly running?: readonly { readonly worker: string; readonly version: string }[];
}
