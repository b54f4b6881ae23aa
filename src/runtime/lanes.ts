/**
 * The process of candidates: the source that each router gets versions from, and the end of it in that process. See
 * lane-source.ts.
 */
import type { Env } from "../lib/env.ts";
import { type VersionHandler, type VersionSource, VersionUnavailable } from "../router/ports.ts";
import {
  ELAPSED_HEADER,
  LANE_HEADER,
  ownAnswer,
  readCall,
  THROWN_HEADER,
  UNLOADABLE_HEADER,
  type Unloadable,
  writeUnloadable,
} from "./lane-protocol.ts";
import { countEnd } from "./lane-cpu.ts";
import { LaneSource } from "./lane-source.ts";
import { deploymentsOf, isolateSource } from "./process.ts";
import { writeError } from "./thrown.ts";

/** An error that is not about the version is Sluice's own. */
function unloadableBy(error: unknown): Unloadable {
  return error instanceof VersionUnavailable ? error : { why: String(error), isItsFault: false };
}

/** Serves a request that another process has passed on. Never rejects. */
export async function serveInLane(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  const { worker, instance, isVisit, onlyLoad } = readCall(request.headers.get(LANE_HEADER) ?? "");
  const source = isolateSource(env);
  let handler: VersionHandler;
  try {
    handler = source.ready(instance) ?? (await source.load(worker, instance, isVisit));
  } catch (error) {
    const unloadable = writeUnloadable(unloadableBy(error));
    return new Response(null, { status: 503, headers: { [UNLOADABLE_HEADER]: unloadable } });
  }
  if (onlyLoad) return new Response(null, { status: 204 });
  const incoming = new Request(request);
  incoming.headers.delete(LANE_HEADER);
  const started = Date.now();
  try {
    const response = ownAnswer(await handler(incoming, env, ctx));
    // An answer that opens a WebSocket cannot be copied.
    if (response.status === 101) return response;
    const answer = new Response(response.body, response);
    answer.headers.set(ELAPSED_HEADER, String(Date.now() - started));
    return answer;
  } catch (error) {
    return new Response(null, { status: 500, headers: { [THROWN_HEADER]: writeError(error) } });
  } finally {
    countEnd(worker, instance);
  }
}

let lanes: LaneSource | undefined;

/** Where the router of this process gets versions from. */
export function versionSource(env: Env): VersionSource {
  return laneSource(env) ?? isolateSource(env);
}

/** The same where candidates run in another process; undefined where they run here. */
export function laneSource(env: Env): LaneSource | undefined {
  if (env.SLUICE_CANARY === undefined) return undefined;
  const recordOf = async (worker: string) => (await deploymentsOf(env).load(worker))?.record;
  lanes ??= new LaneSource(isolateSource(env), env.SLUICE_CANARY, recordOf);
  return lanes;
}
