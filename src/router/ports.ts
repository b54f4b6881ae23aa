/** What the router needs from outside: versions to run, and somebody to tell what happened. src/index.ts hands them in. */
import type { Decision, Outcome, Split } from "./split.ts";

/** Where versions run. The router asks for a handler and passes the request on unchanged. */
export interface VersionSource {
  /** The handler of a version that is ready, without I/O; undefined where it must be loaded first. */
  ready(version: string): VersionHandler | undefined;
  /**
   * Makes a version ready. Rejects with `VersionUnavailable` where it is missing, corrupt or does not start; nothing
   * of the request has been consumed then.
   *
   * @param isVisit whether only this request asks for the version, and not its deployment: it need not stay
   */
  load(worker: string, version: string, isVisit?: boolean): Promise<VersionHandler>;
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

  constructor(version: string, why: string) {
    super(`version ${version} cannot be loaded: ${why}`);
    this.version = version;
    this.why = why;
  }
}

/** The process that ran the version ended before it answered. The request may have been executed, so nobody repeats it. */
export class VersionLost extends Error {
  override readonly name = "VersionLost";

  constructor(version: string, why: string) {
    super(`version ${version} was lost: ${why}`);
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

/** What a rollout learns from one request. */
export interface Seen {
  readonly split: Split;
  readonly decision: Decision;
  /** The request key; undefined where the request has none, and chance decided. */
  readonly key: string | undefined;
  /** The client's address, where a trusted header carries it. */
  readonly address: string | undefined;
  readonly status: number;
  /** Time until the answer began. */
  readonly ms: number;
}

/** Watches the requests of Workers that have a rollout under way. */
export interface ObserverPort {
  observe(seen: Seen, ctx: Pick<ExecutionContext, "waitUntil">): void;
}
