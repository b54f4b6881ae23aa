/** Runs uploaded versions in isolates of their own, through Worker Loader. */
import type { AssetStore } from "../assets/index.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { type VersionHandler, type VersionSource, VersionUnavailable } from "../router/ports.ts";
import { decodeBlob } from "../versions/blob.ts";
import { readVersion } from "../versions/replica.ts";
import type { AssetsOfVersion } from "../versions/types.ts";
import { READY_ENTRYPOINT, READY_URL, servingCode, UNLOAD_URL } from "./code.ts";
import { type Due, type Resident, Residents, reserve } from "./residents.ts";
import type { OpenChannel } from "./version-env.ts";
import { isWitnessed, witnessed } from "./witness.ts";

interface Failure {
  readonly worker: string;
  /** Failed loads in a row. */
  readonly attempts: number;
  /** Until when no request tries again, in ms since the epoch. */
  readonly until: number;
  readonly why: string;
}

type IsolateHandler = VersionHandler & { readonly worker: () => WorkerStub };

interface Isolate extends Resident {
  /** Undefined until the isolate has answered for the first time. */
  handler: IsolateHandler | undefined;
}

interface IsolateOptions {
  readonly loader: WorkerLoader;
  readonly kv: KVNamespace;
  /** Id of Sluice's own code. A loaded version holds channels to the code that loaded it, so the loader's names contain it. */
  readonly build: string;
  /** Opens the channels of versions to Sluice. */
  readonly open: OpenChannel;
  /** The files of versions. */
  readonly assets: AssetStore;
  /** Where the traces of a version go while somebody tails its Worker. */
  readonly collect: (worker: string, version: string) => Fetcher;
  /** Has isolates unloaded when they are due, in a request of its own. */
  readonly tidy: () => Promise<void>;
  /** Where the requests and connections of versions go; undefined for where Sluice's own go. */
  readonly outbound: Fetcher | undefined;
}

export class IsolateSource implements VersionSource {
  readonly #loader: WorkerLoader;
  readonly #kv: KVNamespace;
  readonly #build: string;
  readonly #open: OpenChannel;
  readonly assets: AssetStore;
  readonly #collect: IsolateOptions["collect"];
  readonly #tidy: IsolateOptions["tidy"];
  readonly #outbound: Pick<WorkerLoaderWorkerCode, "globalOutbound">;
  /** By version. */
  readonly #handlers = new Map<string, IsolateHandler>();
  /** The handlers that traced isolates have replaced in `#handlers`, by version. */
  readonly #untraced = new Map<string, IsolateHandler>();
  /** Workers that somebody tails. */
  readonly #tailing = new Set<string>();
  readonly #residents = new Residents<Isolate>();
  /** By version. */
  readonly #failures = new Map<string, Failure>();
  /** When the load of a version began that is not ready yet. */
  readonly #loading = new Map<string, number>();
  #loads = 0;

  constructor({ loader, kv, build, open, assets, collect, tidy, outbound }: IsolateOptions) {
    this.#loader = loader;
    this.#kv = kv;
    this.#build = build;
    this.#open = open;
    this.assets = assets;
    this.#collect = collect;
    this.#tidy = tidy;
    this.#outbound = outbound === undefined ? {} : { globalOutbound: outbound };
  }

  ready(version: string): VersionHandler | undefined {
    return this.#handlers.get(version);
  }

  /** A ready version's entrypoints and classes. The stub is good for the current request only. */
  worker(version: string): WorkerStub | undefined {
    return this.#handlers.get(version)?.worker();
  }

  /** The same in the version's own isolate, for what may outlive a tail: a traced isolate ends with its tail. */
  lastingWorker(version: string): WorkerStub | undefined {
    return (this.#untraced.get(version) ?? this.#handlers.get(version))?.worker();
  }

  /**
   * Turns the tracing of a Worker's versions on or off. A traced version runs in a second isolate, so the version's own
   * isolate keeps its memory and takes over at once when the tail ends. Never rejects.
   */
  async setTailing(worker: string, on: boolean): Promise<void> {
    if (this.#tailing.has(worker) === on) return;
    if (on) {
      this.#tailing.add(worker);
      const versions = this.#residents.of(worker).map(({ version }) => version);
      for (const version of new Set(versions)) await this.#trace(worker, version);
      return;
    }
    this.#tailing.delete(worker);
    for (const { version } of this.#residents.endTail(worker, Date.now())) {
      const own = this.#untraced.get(version);
      if (own !== undefined) this.#handlers.set(version, own);
      this.#untraced.delete(version);
    }
    await this.#tidy();
  }

  /** Has a traced isolate serve a ready version, if somebody tails its Worker and none does yet. */
  async #trace(worker: string, version: string): Promise<void> {
    const own = this.#handlers.get(version);
    if (own === undefined || this.#untraced.has(version) || !this.#tailing.has(worker)) return;
    this.#untraced.set(version, own);
    try {
      const isolate = await this.#load(worker, version, true);
      const isTailed = this.#tailing.has(worker);
      this.#residents.releaseTraced(isolate, isTailed, Date.now());
      if (!isTailed) this.#handlers.set(version, own);
    } catch {
      // `#load` has logged why. The version serves as before, without traces.
      this.#untraced.delete(version);
    }
  }

  async load(worker: string, version: string, isVisit = false): Promise<VersionHandler> {
    await this.#othersLoad(version);
    const handler = this.ready(version);
    if (handler !== undefined) return handler;
    const failure = this.#failures.get(version);
    if (failure !== undefined && failure.until > Date.now()) {
      throw new VersionUnavailable(version, failure.why);
    }
    const isolate = await this.#load(worker, version);
    this.#residents.release(isolate, isVisit, Date.now());
    await this.#trace(worker, version);
    if (isolate.dueAt !== undefined) await this.#tidy();
    return this.ready(version) ?? isolate.handler;
  }

  /** Waits while another request loads the version: this request may not await that request's promise, so it polls. */
  async #othersLoad(version: string): Promise<void> {
    while (Date.now() - (this.#loading.get(version) ?? 0) < LIMITS.loading.loadWaitMs) await pause(5);
  }

  /**
   * Loads versions before traffic moves to them, even if an earlier load has just failed.
   *
   * @returns why one of them cannot serve; undefined if all of them can
   */
  async prepare(worker: string, versions: readonly string[]): Promise<string | undefined> {
    const all = Promise.allSettled(versions.map((version) => this.#prepareOne(worker, version)));
    const slow = pause(LIMITS.loading.prepareMs).then(() => "it takes too long to start");
    const why = await Promise.race([all.then((results) => results.find(isRejected)?.reason), slow]);
    if (why === undefined) return undefined;
    this.#residents.giveUp(versions, Date.now());
    return messageOf(why);
  }

  async #prepareOne(worker: string, version: string): Promise<void> {
    this.#residents.reserve(version, Date.now());
    if (this.ready(version) === undefined) {
      await this.#othersLoad(version);
      if (this.ready(version) === undefined) await this.#load(worker, version);
    }
    await this.#trace(worker, version);
    // Again: the request that loaded the version may have released it during the wait.
    this.#residents.reserve(version, Date.now());
  }

  /**
   * Call this when a Worker's deployment has changed: versions that it no longer contains become due to be unloaded.
   *
   * @param versions of the new deployment; none if the Worker was deleted
   */
  retain(worker: string, versions: readonly string[]): void {
    const kept = new Set(versions);
    this.#residents.retain(worker, kept, this.#tailing.has(worker), Date.now());
    for (const [version, failure] of this.#failures) {
      if (failure.worker === worker && !kept.has(version)) this.#failures.delete(version);
    }
  }

  /** How many isolates are to be unloaded sooner or later. */
  get leaving(): number {
    return this.#residents.leaving;
  }

  /** Whether more isolates drain than may do so at once. */
  get crowded(): boolean {
    return this.#residents.crowded;
  }

  /**
   * Unloads what is due, and the earliest of what drains beyond the limit. Requests in flight in an unloaded isolate
   * finish. Call this in a request that ends soon: the memory returns only when that request ends. Never rejects.
   */
  async sweep(): Promise<void> {
    for (const due of this.#residents.due(Date.now())) await this.#unload(due);
  }

  async #unload(due: Due<Isolate>): Promise<void> {
    // Unloading the ones before it took time.
    if (!this.#residents.take(due)) return;
    const { worker, version, handler } = due.isolate;
    if (this.#handlers.get(version) === handler) this.#handlers.delete(version);
    if (this.#untraced.get(version) === handler) this.#untraced.delete(version);
    const gone = () => Promise.reject(new Error("it was not loaded"));
    try {
      await this.#loader.get(due.name, gone).getEntrypoint(READY_ENTRYPOINT).fetch(UNLOAD_URL);
    } catch {
      // Expected: the isolate ends before it can answer.
    }
    log("info", "version-unloaded", { worker, version });
  }

  /** Loads a version into a new isolate and reserves it: the caller releases it or has its deployment published. */
  async #load(
    worker: string,
    version: string,
    tailed = false,
  ): Promise<Isolate & { readonly handler: IsolateHandler }> {
    this.#loading.set(version, Date.now());
    const name = `${this.#build}/${worker}/${version}#${this.#loads++}`;
    const isolate: Isolate = { worker, version, tailed, handler: undefined, ...reserve(Date.now()) };
    try {
      const { code: untailed, assets } = await this.#read(version);
      const code = tailed ? { ...untailed, tails: [this.#collect(worker, version)] } : untailed;
      // Before the loader has it: the current request may end while it waits, and the isolate must still be unloaded.
      this.#residents.add(name, isolate);
      await this.#loader
        .get(name, () => code)
        .getEntrypoint(READY_ENTRYPOINT)
        .fetch(READY_URL);
      // The loader asks again where a request chose the version before it was unloaded, or where the version's code
      // ended its own isolate. The next request loads the version under another name, so this isolate drains.
      const reload = () => {
        if (this.#handlers.get(version) === handler) this.#handlers.delete(version);
        const dueAt = Date.now() + LIMITS.loading.drainMs;
        this.#residents.add(name, { ...isolate, handler, prepared: false, dueAt });
        return this.#read(version).then(({ code }) => code);
      };
      const stub = () => this.#loader.get(name, reload);
      const call: VersionHandler = (request) => stub().getEntrypoint().fetch(request);
      const run: VersionHandler = (request, env, ctx) =>
        isWitnessed()
          ? witnessed({ worker, version }, () => call(request, env, ctx))
          : call(request, env, ctx);
      const handler: IsolateHandler = Object.assign(await this.#withAssets(worker, assets, run), {
        worker: stub,
      });
      this.#handlers.set(version, handler);
      this.#failures.delete(version);
      return Object.assign(isolate, { handler });
    } catch (error) {
      this.#residents.remove(name);
      throw this.#failed(worker, version, error);
    } finally {
      this.#loading.delete(version);
    }
  }

  /** Notes a failed load, so that requests try again only after a pause. */
  #failed(worker: string, version: string, error: unknown): VersionUnavailable {
    const why = messageOf(error);
    const attempts = (this.#failures.get(version)?.attempts ?? 0) + 1;
    this.#failures.set(version, { worker, attempts, until: Date.now() + retryDelay(attempts), why });
    log("error", "version-unavailable", { worker, version, attempts, why });
    return new VersionUnavailable(version, why);
  }

  async #withAssets(
    worker: string,
    assets: AssetsOfVersion | undefined,
    run: VersionHandler,
  ): Promise<VersionHandler> {
    if (assets === undefined) return run;
    return (await this.assets.load(worker, assets.set)).handlerWith(assets.has_code ? run : undefined);
  }

  async #read(
    version: string,
  ): Promise<{ readonly code: WorkerLoaderWorkerCode; readonly assets: AssetsOfVersion | undefined }> {
    const stored = await readVersion(this.#kv, version);
    if (stored === null) throw new Error("its code is not in KV");
    const blob = decodeBlob(stored);
    return { code: { ...servingCode(blob, this.#open), ...this.#outbound }, assets: blob.header.assets };
  }
}

/** Pause in ms before a version is loaded again that has failed to load this often in a row. */
function retryDelay(attempts: number): number {
  return Math.min(LIMITS.loading.loadRetryMs * 2 ** (attempts - 1), LIMITS.loading.maxLoadRetryMs);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function isRejected(result: PromiseSettledResult<unknown>): result is PromiseRejectedResult {
  return result.status === "rejected";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
