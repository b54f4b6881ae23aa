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

/** Serves one request. A rejection is an exception of the version's own code. */
export type VersionHandler = (
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
) => Promise<Response> | Response;

/** The version cannot serve at all, as opposed to having failed one request. */
export class VersionUnavailable extends Error {
  override readonly name = "VersionUnavailable";
  readonly version: string;

  constructor(version: string, why: string) {
    super(`version ${version} cannot be loaded: ${why}`);
    this.version = version;
  }
}
