/** The requests that a candidate must answer before its rollout begins. */
import type { SmokeRequest } from "../rollout/types.ts";
import type { SmokeAnswer } from "../runtime/messages.ts";

/** A request of the plan that was not answered as it wants. */
export interface SmokeFailure {
  /** Method and path. */
  readonly request: string;
  /** What the version did, as the rest of a sentence that begins with it. */
  readonly why: string;
}

/**
 * Sends the requests of a plan one after the other, up to the first one that fails.
 *
 * @param ask sends a request to the candidate
 */
export async function trySmoke(
  requests: readonly SmokeRequest[],
  ask: (request: SmokeRequest) => Promise<SmokeAnswer>,
): Promise<SmokeFailure | undefined> {
  for (const request of requests) {
    const why = judge(request, await ask(request));
    if (why !== undefined) return { request: `${request.method} ${request.path}`, why };
  }
  return undefined;
}

function judge({ status }: SmokeRequest, answer: SmokeAnswer): string | undefined {
  if ("why" in answer) return answer.why;
  if (status === null ? answer.status < 400 : answer.status === status) return undefined;
  return `answered with ${answer.status}, and the plan wants ${status ?? "a status below 400"}`;
}
