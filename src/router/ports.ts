/** What the router needs from outside: versions to run, and somebody to tell what happened. src/index.ts hands them in. */
import type { WatchedRollout } from "../versions/record.ts";
import type { Decision, Observed, Outcome } from "./split.ts";

/**
 * Where versions run. The router asks for a handler and passes the request on unchanged. An instance is the name of an
 * isolate: a version's id, or that of its baseline (versions/placement.ts).
 */
export interface VersionSource {
  /** The handler of an instance that is ready, without I/O; undefined where it must be loaded first. */
  ready(instance: string): VersionHandler | undefined;
  /**
   * Makes an instance ready. Rejects with `VersionUnavailable` where it is missing, corrupt or does not start; nothing
   * of the request has been consumed then.
   *
   * @param isVisit whether only this request asks for the version, and not its deployment: it need not stay
   */
  load(worker: string, instance: string, isVisit?: boolean): Promise<VersionHandler>;
}

/**
 * On a response: how long the version took, in ms, where it runs in another process. The way there is not the version's
 * fault, and must not count against it.
 */
export const ELAPSED = Symbol("elapsed");

/** When a version began to answer, as `Date.now()` here would have been. @param started when the router asked it */
export function startOf(response: Response, started: number): number {
  const elapsed = (response as { readonly [ELAPSED]?: number })[ELAPSED];
  return elapsed === undefined ? started : Date.now() - elapsed;
}

/** Serves one request. A rejection is an exception of the version's own code, or `VersionLost`. */
export type VersionHandler = (
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
) => Promise<Response> | Response;

/** The version cannot serve at all, as opposed to having failed one request. */
export class VersionUnavailable extends Error {
  override readonly name = "VersionUnavailable";
  readonly version: string;
  readonly why: string;
  /** Whether the version is to blame, as opposed to its process, which may be down for another one's sake. */
  readonly isItsFault: boolean;

  constructor(version: string, why: string, isItsFault = true) {
    super(`version ${version} cannot be loaded: ${why}`);
    this.version = version;
    this.why = why;
    this.isItsFault = isItsFault;
  }
}

/** The process that ran the version ended before it answered. The request may have been executed, so nobody repeats it. */
export class VersionLost extends Error {
  override readonly name = "VersionLost";
  /** Whether the version may be to blame: another one is not known to be suspected. */
  readonly isItsFault: boolean;

  constructor(version: string, why: string, isItsFault = true) {
    super(`version ${version} was lost: ${why}`);
    this.isItsFault = isItsFault;
  }
}

/** Counts requests. */
export interface MeterPort {
  /** Called when the answer of a version begins. @param started when it got the request, in ms since the epoch */
  count(
    decision: Decision,
    outcome: Outcome,
    started: number,
    ctx: Pick<ExecutionContext, "waitUntil">,
  ): void;
  /** Notes that the deployment of a Worker cannot be read. */
  noteStale(worker: string): void;
}

/** A request that a rollout counts, when it comes. */
export interface Arrival {
  readonly rollout: WatchedRollout;
  readonly decision: Decision;
  readonly observed: Observed;
  readonly method: string;
  /** The request key; undefined where the request has none, and chance decided. */
  readonly key: string | undefined;
  /** The client's address, where a trusted header carries it. */
  readonly address: string | undefined;
}

/** Is told what becomes of a request that a rollout counts. Only what the version does that the split chose matters. */
export interface Sighting {
  /** The version has answered. @returns the response for the client: its body may be watched */
  answered(response: Response): Response;
  /** The version has thrown, or was lost with its process. */
  threw(error: unknown): void;
  /** The version could not be loaded, and another one may take over. @param error what `VersionSource.load` rejected with */
  unavailable(error: unknown): void;
}

/** Watches the requests of Workers that have a rollout under way. */
export interface ObserverPort {
  /** Called before the version gets the request. */
  begin(arrival: Arrival, ctx: Pick<ExecutionContext, "waitUntil">): Sighting;
}
