/** How the processes that serve traffic are told. */
import type { FollowerMessage, FollowerReply } from "./messages.ts";

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
