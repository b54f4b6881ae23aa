/**
 * Uploaded versions, each in an isolate of its own, through Worker Loader.
 *
 * What this relies on, as measured on workerd: a name whose code could not be read or did not start repeats that error
 * for the life of the process, so the code is read before the loader is asked and every new try takes a new name; an
 * isolate is never evicted, so a name that has loaded stays loaded. Elsewhere (Cloudflare) an isolate may be dropped
 * and its code asked for again: `reload` answers that.
 */
import { LIMITS } from "../../limits.ts";
import { log } from "../../log.ts";
import { decodeBlob } from "../blob.ts";
import { READY_ENTRYPOINT, servingCode } from "../code.ts";
import { readVersion } from "../replica.ts";
import { type VersionHandler, type VersionSource, VersionUnavailable } from "./index.ts";

interface Failure {
  /** Number of the next try; part of its loader name. */
  readonly attempt: number;
  /** Until when nothing is tried, in ms since the epoch. */
  readonly until: number;
  readonly why: string;
}

export class IsolateSource implements VersionSource {
  readonly #loader: WorkerLoader;
  readonly #kv: KVNamespace;
  readonly #build: string;
  readonly #handlers = new Map<string, VersionHandler>();
  readonly #failures = new Map<string, Failure>();

  /** @param build id of the parent's own code: what a loaded version captured belongs to the parent that loaded it */
  constructor(loader: WorkerLoader, kv: KVNamespace, build: string) {
    this.#loader = loader;
    this.#kv = kv;
    this.#build = build;
  }

  ready(version: string): VersionHandler | undefined {
    return this.#handlers.get(version);
  }

  async load(worker: string, version: string): Promise<VersionHandler> {
    const failure = this.#failures.get(version);
    if (failure !== undefined && failure.until > Date.now())
      throw new VersionUnavailable(version, failure.why);
    const attempt = failure?.attempt ?? 0;
    try {
      const code = await this.#read(version);
      const name = `${this.#build}/${worker}/${version}#${attempt}`;
      await this.#loader
        .get(name, () => code)
        .getEntrypoint(READY_ENTRYPOINT)
        .fetch("http://version/");
      const reload = () => this.#read(version);
      const handler: VersionHandler = (request) =>
        this.#loader.get(name, reload).getEntrypoint().fetch(request);
      this.#handlers.set(version, handler);
      this.#failures.delete(version);
      return handler;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const pause = Math.min(LIMITS.loadRetryMs * 2 ** attempt, LIMITS.maxLoadRetryMs);
      this.#failures.set(version, { attempt: attempt + 1, until: Date.now() + pause, why });
      log("error", "version-unavailable", { worker, version, attempt, why });
      throw new VersionUnavailable(version, why);
    }
  }

  async #read(version: string): Promise<WorkerLoaderWorkerCode> {
    const blob = await readVersion(this.#kv, version);
    if (blob === null) throw new Error("its code is not in KV");
    return servingCode(decodeBlob(blob));
  }
}
