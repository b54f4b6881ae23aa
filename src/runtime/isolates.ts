/** Runs uploaded versions in isolates of their own, through Worker Loader. */
import type { AssetStore } from "../assets/index.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { type VersionHandler, type VersionSource, VersionUnavailable } from "../router/ports.ts";
import { decodeBlob } from "../versions/blob.ts";
import { isBaseline, versionOf } from "../versions/placement.ts";
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
  /** Whether the version is to blame, as opposed to KV. */
  readonly isItsFault: boolean;
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

/** KV did not answer, which says nothing about the version. */
class Unreadable extends Error {}

export class IsolateSource implements VersionSource {
  readonly #loader: WorkerLoader;
  readonly #kv: KVNamespace;
  readonly #build: string;
  readonly #open: OpenChannel;
  readonly assets: AssetStore;
  readonly #collect: IsolateOptions["collect"];
  readonly #tidy: IsolateOptions["tidy"];
  readonly #outbound: Pick<WorkerLoaderWorkerCode, "globalOutbound">;
  /** By the isolate's name, as in versions/placement.ts; so are all maps here. */
  readonly #handlers = new Map<string, IsolateHandler>();
  /** The handlers that traced isolates have replaced in `#handlers`. */
  readonly #untraced = new Map<string, IsolateHandler>();
  /** Workers that somebody tails. */
  readonly #tailing = new Set<string>();
  readonly #residents = new Residents<Isolate>();
  readonly #failures = new Map<string, Failure>();
  /** When the load of an isolate began that is not ready yet. */
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

  ready(instance: string): VersionHandler | undefined {
    return this.#handlers.get(instance);
  }

  /** A ready isolate's entrypoints and classes. The stub is good for the current request only. */
  worker(instance: string): WorkerStub | undefined {
    return this.#handlers.get(instance)?.worker();
  }

  /** The same in the isolate that no tail has replaced, for what may outlive a tail: a traced isolate ends with its tail. */
  lastingWorker(instance: string): WorkerStub | undefined {
    return (this.#untraced.get(instance) ?? this.#handlers.get(instance))?.worker();
  }

  /**
   * Turns the tracing of a Worker's versions on or off. A traced version runs in a second isolate, so the version's own
   * isolate keeps its memory and takes over at once when the tail ends. Never rejects.
   */
  async setTailing(worker: string, on: boolean): Promise<void> {
    if (this.#tailing.has(worker) === on) return;
    if (on) {
      this.#tailing.add(worker);
      const instances = this.#residents.of(worker).map(({ instance }) => instance);
      for (const instance of new Set(instances)) await this.#trace(worker, instance);
      return;
    }
    this.#tailing.delete(worker);
    for (const { instance } of this.#residents.endTail(worker, Date.now())) {
      const own = this.#untraced.get(instance);
      if (own !== undefined) this.#handlers.set(instance, own);
      this.#untraced.delete(instance);
    }
    await this.#tidy();
  }

  /** Has a traced isolate serve in the place of a ready one, if somebody tails its Worker and none does yet. */
  async #trace(worker: string, instance: string): Promise<void> {
    const own = this.#handlers.get(instance);
    if (own === undefined || this.#untraced.has(instance) || !this.#tailing.has(worker)) return;
    this.#untraced.set(instance, own);
    try {
      const isolate = await this.#load(worker, instance, true);
      const isTailed = this.#tailing.has(worker);
      this.#residents.releaseTraced(isolate, isTailed, Date.now());
      if (!isTailed) this.#handlers.set(instance, own);
    } catch {
      // `#load` has logged why. The version serves as before, without traces.
      this.#untraced.delete(instance);
    }
  }

  async load(worker: string, instance: string, isVisit = false): Promise<VersionHandler> {
    await this.#othersLoad(instance);
    const handler = this.ready(instance);
    if (handler !== undefined) return handler;
    const failure = this.#failures.get(instance);
    if (failure !== undefined && failure.until > Date.now()) {
      throw new VersionUnavailable(versionOf(instance), failure.why, failure.isItsFault);
    }
    const isolate = await this.#load(worker, instance);
    this.#residents.release(isolate, isVisit, Date.now());
    await this.#trace(worker, instance);
    if (isolate.dueAt !== undefined) await this.#tidy();
    return this.ready(instance) ?? isolate.handler;
  }

  /** Waits while another request loads the isolate: this request may not await that request's promise, so it polls. */
  async #othersLoad(instance: string): Promise<void> {
    while (Date.now() - (this.#loading.get(instance) ?? 0) < LIMITS.loading.loadWaitMs) await pause(5);
  }

  /**
   * Loads isolates before traffic moves to them, even if an earlier load has just failed.
   *
   * @returns why one of them cannot serve; undefined if all of them can
   */
  async prepare(worker: string, instances: readonly string[]): Promise<string | undefined> {
    const all = Promise.allSettled(instances.map((instance) => this.#prepareOne(worker, instance)));
    const slow = pause(LIMITS.loading.prepareMs).then(() => "it takes too long to start");
    const why = await Promise.race([all.then((results) => results.find(isRejected)?.reason), slow]);
    if (why === undefined) return undefined;
    this.#residents.giveUp(instances, Date.now());
    return messageOf(why);
  }

  async #prepareOne(worker: string, instance: string): Promise<void> {
    this.#residents.reserve(instance, Date.now());
    if (this.ready(instance) === undefined) {
      await this.#othersLoad(instance);
      if (this.ready(instance) === undefined) await this.#load(worker, instance);
    }
    await this.#trace(worker, instance);
    // Again: the request that loaded the version may have released it during the wait.
    this.#residents.reserve(instance, Date.now());
  }

  /**
   * Call this when a Worker's deployment has changed: isolates that it no longer needs become due to be unloaded.
   *
   * @param instances of the new deployment; none if the Worker was deleted
   */
  retain(worker: string, instances: readonly string[]): void {
    const kept = new Set(instances);
    this.#residents.retain(worker, kept, this.#tailing.has(worker), Date.now());
    for (const [instance, failure] of this.#failures) {
      if (failure.worker === worker && !kept.has(instance)) this.#failures.delete(instance);
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
    const { worker, instance, handler } = due.isolate;
    if (this.#handlers.get(instance) === handler) this.#handlers.delete(instance);
    if (this.#untraced.get(instance) === handler) this.#untraced.delete(instance);
    const gone = () => Promise.reject(new Error("it was not loaded"));
    try {
      await this.#loader.get(due.name, gone).getEntrypoint(READY_ENTRYPOINT).fetch(UNLOAD_URL);
    } catch {
      // Expected: the isolate ends before it can answer.
    }
    log("info", "version-unloaded", named(worker, instance));
  }

  /** Loads an isolate under a new name and reserves it: the caller releases it or has its deployment published. */
  async #load(
    worker: string,
    instance: string,
    tailed = false,
  ): Promise<Isolate & { readonly handler: IsolateHandler }> {
    this.#loading.set(instance, Date.now());
    const name = `${this.#build}/${worker}/${instance}#${this.#loads++}`;
    const isolate: Isolate = { worker, instance, tailed, handler: undefined, ...reserve(Date.now()) };
    try {
      const { code: untailed, assets } = await this.#read(instance);
      const code = tailed ? { ...untailed, tails: [this.#collect(worker, versionOf(instance))] } : untailed;
      // Before the loader has it: the current request may end while it waits, and the isolate must still be unloaded.
      this.#residents.add(name, isolate);
      await this.#loader
        .get(name, () => code)
        .getEntrypoint(READY_ENTRYPOINT)
        .fetch(READY_URL);
      // The loader asks again where a request chose the version before it was unloaded, or where the version's code
      // ended its own isolate. The next request loads the version under another name, so this isolate drains.
      const reload = () => {
        if (this.#handlers.get(instance) === handler) this.#handlers.delete(instance);
        const dueAt = Date.now() + LIMITS.loading.drainMs;
        this.#residents.add(name, { ...isolate, handler, prepared: false, dueAt });
        return this.#read(instance).then(({ code }) => code);
      };
      const stub = () => this.#loader.get(name, reload);
      const call: VersionHandler = (request) => stub().getEntrypoint().fetch(request);
      const run: VersionHandler = (request, env, ctx) =>
        isWitnessed()
          ? witnessed({ worker, version: versionOf(instance) }, () => call(request, env, ctx))
          : call(request, env, ctx);
      const handler: IsolateHandler = Object.assign(await this.#withAssets(worker, assets, run), {
        worker: stub,
      });
      this.#handlers.set(instance, handler);
      this.#failures.delete(instance);
      return Object.assign(isolate, { handler });
    } catch (error) {
      this.#residents.remove(name);
      throw this.#failed(worker, instance, error);
    } finally {
      this.#loading.delete(instance);
    }
  }

  /** Notes a failed load, so that requests try again only after a pause. */
  #failed(worker: string, instance: string, error: unknown): VersionUnavailable {
    const isItsFault = !(error instanceof Unreadable);
    const why = messageOf(error);
    const attempts = (this.#failures.get(instance)?.attempts ?? 0) + 1;
    const until = Date.now() + retryDelay(attempts);
    this.#failures.set(instance, { worker, attempts, until, why, isItsFault });
    log("error", "version-unavailable", { ...named(worker, instance), attempts, why });
    return new VersionUnavailable(versionOf(instance), why, isItsFault);
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
    instance: string,
  ): Promise<{ readonly code: WorkerLoaderWorkerCode; readonly assets: AssetsOfVersion | undefined }> {
    const stored = await readVersion(this.#kv, versionOf(instance)).catch((error: unknown) => {
      throw new Unreadable(`KV cannot be read: ${messageOf(error)}`);
    });
    if (stored === null) throw new Error("its code is not in KV");
    const blob = decodeBlob(stored);
    return { code: { ...servingCode(blob, this.#open), ...this.#outbound }, assets: blob.header.assets };
  }
}

/** An isolate, as the log names it: by its version. */
function named(worker: string, instance: string) {
  return { worker, version: versionOf(instance), ...(isBaseline(instance) ? { is_baseline: true } : {}) };
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
