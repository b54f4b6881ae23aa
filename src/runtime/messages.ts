/** Messages to the processes that follow deployments. */
import type { DeploymentRecord, RoutesRecord } from "../versions/record.ts";

/** What a process is told about versions and deployments. */
export type FollowerMessage =
  /** Load isolates, by name. Without any, the answer only shows that the process serves. */
  | {
      readonly type: "prepare";
      readonly worker: string;
      readonly instances: readonly string[];
      /** From the supervisor, to the process of candidates: its processor time when it last answered, in ms. */
      readonly cpu_ms?: number;
    }
  | { readonly type: "publish"; readonly worker: string; readonly record: DeploymentRecord | null }
  | { readonly type: "routes"; readonly record: RoutesRecord }
  /** Send a request to a version. */
  | ({ readonly type: "smoke" } & SmokeCall)
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

/** A request to a version. */
export interface SmokeCall {
  readonly worker: string;
  readonly version: string;
  readonly method: string;
  /** Begins with a slash. */
  readonly path: string;
}

/** The status of the answer, or why there was none as the rest of a sentence that begins with the version. */
export type SmokeAnswer = { readonly status: number } | { readonly why: string };

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

/** A version in the canary process. */
export interface RunningApart {
  readonly worker: string;
  readonly version: string;
  /** Whether it ran as a rollout's baseline. */
  readonly isBaseline: boolean;
}

/** The answer to a message: why versions cannot be prepared, or a request was not answered; or null. */
export interface FollowerReply {
  readonly why: string | null;
  /** To `smoke`: of the version's answer. */
  readonly status?: number;
  /** To `stop`: how many alarms, batches and crons are under way. */
  readonly events?: number;
  /** To `processes`: versions that had requests under way in the canary process. */
  readonly running?: readonly RunningApart[];
}
