/** Messages to the processes that serve traffic, and how they are sent. */
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

/** @param follower a binding to a process's `Follower`. Rejects if it does not answer before the signal aborts */
export async function sendMessage(
  follower: Fetcher,
  message: FollowerMessage,
  signal?: AbortSignal,
): Promise<FollowerReply> {
  const init = { method: "POST", body: JSON.stringify(message), ...(signal === undefined ? {} : { signal }) };
  const response = await follower.fetch("http://follower/", init);
  // Always read: an unread answer would keep the request open, and with it the isolates that the request holds.
  return response.json<FollowerReply>();
}
