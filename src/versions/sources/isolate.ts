/**
 * Uploaded versions, each in an isolate of its own, through Worker Loader.
 *
 * What this relies on, as measured on workerd: a name whose code could not be read or did not start repeats that error
 * for the life of the process, so the code is read before the loader is asked and every load takes a new name; an
 * isolate is never evicted, so a name that has loaded stays loaded until it is unloaded here. Elsewhere (Cloudflare) an
 * isolate may be dropped and its code asked for again: `reload` answers that.
 */
import { LIMITS } from "../../limits.ts";
import { log } from "../../log.ts";
import { decodeBlob } from "../blob.ts";
import { READY_ENTRYPOINT, READY_URL, servingCode, UNLOAD_URL } from "../code.ts";
import { readVersion } from "../replica.ts";
import { type VersionHandler, type VersionSource, VersionUnavailable } from "./index.ts";

interface Failure {
  readonly worker: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** Until when no request tries again, in ms since the epoch. */
  readonly until: number;
  readonly why: string;
}

/** An isolate that the loader has. */
interface Loaded {
  readonly worker: string;
  readonly version: string;
  readonly handler: VersionHandler;
  /** When it may be unloaded, in ms since the epoch; undefined while its deployment has it. */
  dueAt: number | undefined;
}

export class IsolateSource implements VersionSource {
  readonly #loader: WorkerLoader;
  readonly #kv: KVNamespace;
  readonly #build: string;
  readonly #handlers = new Map<string, VersionHandler>();
  /** By loader name. */
  readonly #loaded = new Map<string, Loaded>();
  /** The versions that each Worker's deployment has, where one was published in this process. */
  readonly #kept = new Map<string, ReadonlySet<string>>();
  readonly #failures = new Map<string, Failure>();
  /** When the load of a version that is not ready yet began. */
  readonly #loading = new Map<string, number>();
  #loads = 0;

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
    // A promise of another request cannot be awaited in this one, but its result can be waited for.
    while (Date.now() - (this.#loading.get(version) ?? 0) < LIMITS.loadWaitMs) await pause(5);
    const handler = this.ready(version);
    if (handler !== undefined) return handler;
    const failure = this.#failures.get(version);
    if (failure !== undefined && failure.until > Date.now()) {
      throw new VersionUnavailable(version, failure.why);
    }
    const kept = this.#kept.get(worker);
    const stays = kept === undefined || kept.has(version);
    return this.#load(worker, version, stays ? undefined : Date.now() + LIMITS.drainMs);
  }

  /**
   * Loads versions before traffic moves to them, whatever was tried before.
   *
   * @returns why one of them cannot serve; undefined where all of them can
   */
  async prepare(worker: string, versions: readonly string[]): Promise<string | undefined> {
    // Not to be unloaded between this and the publication; where none follows, another Worker's lets it be unloaded.
    const dueAt = Date.now() + 2 * LIMITS.prepareMs;
    for (const loaded of this.#loaded.values()) {
      if (loaded.dueAt !== undefined && versions.includes(loaded.version)) loaded.dueAt = dueAt;
    }
    const loads = versions.filter((version) => this.ready(version) === undefined);
    if (loads.length === 0) return undefined;
    const all = Promise.all(loads.map((version) => this.#load(worker, version, dueAt)));
    try {
      await Promise.race([
        all,
        pause(LIMITS.prepareMs).then(() => Promise.reject(new Error("it takes too long to start"))),
      ]);
      return undefined;
    } catch (error) {
      all.catch(() => {});
      return messageOf(error);
    }
  }

  /**
   * To be called when a Worker's deployment has changed: versions that it no longer has are due to be unloaded.
   *
   * @param versions of the new deployment; none where the Worker is gone
   */
  retain(worker: string, versions: readonly string[]): void {
    const kept = new Set(versions);
    if (kept.size > 0) this.#kept.set(worker, kept);
    else this.#kept.delete(worker);
    for (const loaded of this.#loaded.values()) {
      if (loaded.worker !== worker) continue;
      loaded.dueAt = kept.has(loaded.version) ? undefined : (loaded.dueAt ?? Date.now() + LIMITS.drainMs);
    }
    for (const [version, failure] of this.#failures) {
      if (failure.worker === worker && !kept.has(version)) this.#failures.delete(version);
    }
  }

  /** Versions that are loaded and have left their deployments. */
  get leaving(): number {
    return this.#leaving().length;
  }

  #leaving(): [name: string, isolate: Loaded][] {
    return [...this.#loaded].filter(([, { dueAt }]) => dueAt !== undefined);
  }

  /**
   * Unloads what is due, and of what waits for that, what is too much. Requests under way in it finish either way. To be
   * called in a request that ends soon: until then the memory is not returned. Never rejects.
   */
  async sweep(): Promise<void> {
    const leaving = this.#leaving().sort(([, x], [, y]) => (x.dueAt ?? 0) - (y.dueAt ?? 0));
    const excess = leaving.length - LIMITS.maxDraining;
    const now = Date.now();
    await this.#unload(leaving.filter(([, { dueAt = 0 }], at) => dueAt <= now || at < excess));
  }

  async #unload(isolates: readonly (readonly [name: string, Loaded])[]): Promise<void> {
    const listed = isolates.map(([name, isolate]) => ({ name, isolate, dueAt: isolate.dueAt }));
    for (const { name, isolate, dueAt } of listed) {
      // While the one before it was unloaded, its deployment may have come back, or another sweep have been faster.
      if (this.#loaded.get(name) !== isolate || isolate.dueAt !== dueAt) continue;
      this.#loaded.delete(name);
      const { worker, version, handler } = isolate;
      if (this.#handlers.get(version) === handler) this.#handlers.delete(version);
      const gone = () => Promise.reject(new Error("it was not loaded"));
      try {
        await this.#loader.get(name, gone).getEntrypoint(READY_ENTRYPOINT).fetch(UNLOAD_URL);
      } catch {
        // The isolate that would have answered has ended.
      }
      log("info", "version-unloaded", { worker, version });
    }
  }

  async #load(worker: string, version: string, dueAt: number | undefined): Promise<VersionHandler> {
    this.#loading.set(version, Date.now());
    const name = `${this.#build}/${worker}/${version}#${this.#loads++}`;
    try {
      const code = await this.#read(version);
      await this.#loader
        .get(name, () => code)
        .getEntrypoint(READY_ENTRYPOINT)
        .fetch(READY_URL);
      const track = (due: number | undefined) =>
        this.#loaded.set(name, { worker, version, handler, dueAt: due });
      const reload = () => {
        // A request that had chosen the version before it was unloaded, or whose code ended its own isolate: the next
        // one loads it under another name, whatever becomes of this one.
        if (this.#handlers.get(version) === handler) this.#handlers.delete(version);
        track(Date.now() + LIMITS.drainMs);
        return this.#read(version);
      };
      const handler: VersionHandler = (request) =>
        this.#loader.get(name, reload).getEntrypoint().fetch(request);
      track(dueAt);
      this.#handlers.set(version, handler);
      this.#failures.delete(version);
      return handler;
    } catch (error) {
      const why = messageOf(error);
      const attempts = (this.#failures.get(version)?.attempts ?? 0) + 1;
      const delay = Math.min(LIMITS.loadRetryMs * 2 ** (attempts - 1), LIMITS.maxLoadRetryMs);
      this.#failures.set(version, { worker, attempts, until: Date.now() + delay, why });
      log("error", "version-unavailable", { worker, version, attempts, why });
      throw new VersionUnavailable(version, why);
    } finally {
      this.#loading.delete(version);
    }
  }

  async #read(version: string): Promise<WorkerLoaderWorkerCode> {
    const blob = await readVersion(this.#kv, version);
    if (blob === null) throw new Error("its code is not in KV");
    return servingCode(decodeBlob(blob));
  }
}

let shared: IsolateSource | undefined;

/** The source of this isolate: the router's, the registry's and the follower's are one. */
export function isolateSource(env: {
  readonly LOADER: WorkerLoader;
  readonly SLUICE_KV: KVNamespace;
  readonly SLUICE_BUILD: string;
}): IsolateSource {
  shared ??= new IsolateSource(env.LOADER, env.SLUICE_KV, env.SLUICE_BUILD);
  return shared;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
