import type { AssetStore } from "../assets/index.ts";
import { LIMITS } from "../lib/limits.ts";
import { log } from "../lib/log.ts";
import { type VersionHandler, type VersionSource, VersionUnavailable } from "../router/ports.ts";
import { decodeBlob } from "../versions/blob.ts";
import { readVersion } from "../versions/replica.ts";
import type { AssetsOfVersion } from "../versions/types.ts";
import { READY_ENTRYPOINT, READY_URL, servingCode, UNLOAD_URL } from "./code.ts";
import type { OpenChannel } from "./version-env.ts";

interface Failure {
  readonly worker: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** Until when no request tries again, in ms since the epoch. */
  readonly until: number;
  readonly why: string;
}

type IsolateHandler = VersionHandler & { readonly worker: () => WorkerStub };

/** An isolate that the loader has, or is about to have. */
interface Loaded {
  readonly worker: string;
  readonly version: string;
  /** Undefined until it has answered. */
  handler: IsolateHandler | undefined;
  /** When it may be unloaded, in ms since the epoch; undefined while its deployment has it. */
  dueAt: number | undefined;
  /** Whether it waits for its deployment, and not for its end. */
  prepared: boolean;
  /** Whether its events are traced: an isolate beside the version's own one, while somebody watches. */
  readonly tailed: boolean;
}

interface IsolateOptions {
  readonly loader: WorkerLoader;
  readonly kv: KVNamespace;
  /** Id of the parent's own code: what a loaded version captured belongs to the parent that loaded it. */
  readonly build: string;
  /** Gives versions their channels to Sluice. */
  readonly open: OpenChannel;
  /** The files of versions. */
  readonly assets: AssetStore;
  /** Where the events of a version go while somebody watches. */
  readonly collect: (worker: string, version: string) => Fetcher;
  /** Has what is due unloaded in time, in a request of its own. */
  readonly tidy: () => Promise<void>;
}

export class IsolateSource implements VersionSource {
  readonly #loader: WorkerLoader;
  readonly #kv: KVNamespace;
  readonly #build: string;
  readonly #open: OpenChannel;
  readonly assets: AssetStore;
  readonly #collect: IsolateOptions["collect"];
  readonly #tidy: IsolateOptions["tidy"];
  readonly #handlers = new Map<string, IsolateHandler>();
  /** Of versions whose handlers are those of traced isolates, the ones that they had before. */
  readonly #untraced = new Map<string, IsolateHandler>();
  /** Workers whose events somebody watches. */
  readonly #tailing = new Set<string>();
  /** By loader name. */
  readonly #loaded = new Map<string, Loaded>();
  /** The versions that each Worker's deployment has, where one was published in this process. */
  readonly #kept = new Map<string, ReadonlySet<string>>();
  readonly #failures = new Map<string, Failure>();
  /** When the load of a version that is not ready yet began. */
  readonly #loading = new Map<string, number>();
  #loads = 0;

  constructor({ loader, kv, build, open, assets, collect, tidy }: IsolateOptions) {
    this.#loader = loader;
    this.#kv = kv;
    this.#build = build;
    this.#open = open;
    this.assets = assets;
    this.#collect = collect;
    this.#tidy = tidy;
  }

  ready(version: string): VersionHandler | undefined {
    return this.#handlers.get(version);
  }

  /** A version that is ready, for more than requests: its entrypoints and classes. Not to be kept for another request. */
  worker(version: string): WorkerStub | undefined {
    return this.#handlers.get(version)?.worker();
  }

  /** The same, for what outlives a tail: it would end with the isolate that is traced. */
  lastingWorker(version: string): WorkerStub | undefined {
    return (this.#untraced.get(version) ?? this.#handlers.get(version))?.worker();
  }

  /**
   * Has a Worker's versions traced, or not any more. A traced version runs in an isolate of its own, so that the one that
   * serves otherwise keeps what it has in memory, and is there again at once. Never rejects.
   */
  async setTailing(worker: string, on: boolean): Promise<void> {
    if (this.#tailing.has(worker) === on) return;
    if (on) {
      this.#tailing.add(worker);
      const versions = [...this.#loaded.values()].filter((each) => each.worker === worker).map(versionOf);
      for (const version of new Set(versions)) await this.#trace(worker, version);
      return;
    }
    this.#tailing.delete(worker);
    for (const isolate of this.#loaded.values()) {
      if (isolate.worker !== worker || !isolate.tailed) continue;
      const before = this.#untraced.get(isolate.version);
      if (before !== undefined) this.#handlers.set(isolate.version, before);
      this.#untraced.delete(isolate.version);
      isolate.dueAt ??= Date.now() + LIMITS.loading.drainMs;
    }
    await this.#tidy();
  }

  /** Puts a traced isolate of a version that is ready in its place, where there is none. */
  async #trace(worker: string, version: string): Promise<void> {
    const before = this.#handlers.get(version);
    if (before === undefined || this.#untraced.has(version) || !this.#tailing.has(worker)) return;
    this.#untraced.set(version, before);
    try {
      const isolate = await this.#load(worker, version, true);
      Object.assign(isolate, { prepared: false, dueAt: this.#tailing.has(worker) ? undefined : Date.now() });
      if (!this.#tailing.has(worker)) this.#handlers.set(version, before);
    } catch {
      // `#load` has logged why. It serves as before, unwatched.
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
    this.#release(isolate, isVisit);
    await this.#trace(worker, version);
    if (isolate.dueAt !== undefined) await this.#tidy();
    return this.ready(version) ?? isolate.handler;
  }

  /** A promise of another request cannot be awaited in this one, but its result can be waited for. */
  async #othersLoad(version: string): Promise<void> {
    while (Date.now() - (this.#loading.get(version) ?? 0) < LIMITS.loading.loadWaitMs) await pause(5);
  }

  /**
   * Loads versions before traffic moves to them, whatever was tried before.
   *
   * @returns why one of them cannot serve; undefined where all of them can
   */
  async prepare(worker: string, versions: readonly string[]): Promise<string | undefined> {
    const all = Promise.allSettled(versions.map((version) => this.#prepareOne(worker, version)));
    const slow = pause(LIMITS.loading.prepareMs).then(() => "it takes too long to start");
    const why = await Promise.race([all.then((results) => results.find(isRejected)?.reason), slow]);
    if (why === undefined) return undefined;
    for (const isolate of this.#loaded.values()) {
      if (!isolate.prepared || !versions.includes(isolate.version)) continue;
      Object.assign(isolate, { prepared: false, dueAt: Date.now() + LIMITS.loading.drainMs });
    }
    return messageOf(why);
  }

  async #prepareOne(worker: string, version: string): Promise<void> {
    this.#reserve(version);
    if (this.ready(version) === undefined) {
      await this.#othersLoad(version);
      if (this.ready(version) === undefined) await this.#load(worker, version);
    }
    await this.#trace(worker, version);
    // Who loaded it may have let it go meanwhile.
    this.#reserve(version);
  }

  /** Not to be unloaded before the publication that it was prepared for, though there may be none. */
  #reserve(version: string): void {
    for (const isolate of this.#loaded.values()) {
      if (isolate.version === version && isolate.dueAt !== undefined) {
        Object.assign(isolate, { prepared: true, dueAt: Date.now() + 2 * LIMITS.loading.prepareMs });
      }
    }
  }

  /** After a request has loaded it: to be unloaded after its drain, unless its Worker's deployment has it. */
  #release(isolate: Loaded, isVisit: boolean): void {
    const kept = this.#kept.get(isolate.worker);
    const stays = kept === undefined ? !isVisit : kept.has(isolate.version);
    const stay = isVisit ? LIMITS.loading.visitMs : LIMITS.loading.drainMs;
    Object.assign(isolate, { prepared: false, dueAt: stays ? undefined : Date.now() + stay });
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
      const isOver = loaded.tailed && !this.#tailing.has(worker);
      if (kept.has(loaded.version) && !isOver) Object.assign(loaded, { prepared: false, dueAt: undefined });
      else loaded.dueAt ??= Date.now() + LIMITS.loading.drainMs;
    }
    for (const [version, failure] of this.#failures) {
      if (failure.worker === worker && !kept.has(version)) this.#failures.delete(version);
    }
  }

  /** Versions that are loaded and are in no deployment, any more or yet. */
  get leaving(): number {
    return this.#leaving().length;
  }

  /** Whether more have left than may wait for their drain. */
  get crowded(): boolean {
    return this.#excess(this.#leaving()) > 0;
  }

  #excess(leaving: readonly (readonly [name: string, Loaded])[]): number {
    return leaving.filter(([, { prepared }]) => !prepared).length - LIMITS.loading.maxDraining;
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
    const now = Date.now();
    let excess = this.#excess(leaving);
    await this.#unload(
      leaving.filter(([, { dueAt = 0, prepared }]) => dueAt <= now || (!prepared && excess-- > 0)),
    );
  }

  async #unload(isolates: readonly (readonly [name: string, Loaded])[]): Promise<void> {
    const listed = isolates.map(([name, isolate]) => ({ name, isolate, dueAt: isolate.dueAt }));
    for (const { name, isolate, dueAt } of listed) {
      // While the one before it was unloaded, its deployment may have come back, or another sweep have been faster.
      if (this.#loaded.get(name) !== isolate || isolate.dueAt !== dueAt) continue;
      this.#loaded.delete(name);
      const { worker, version, handler } = isolate;
      if (this.#handlers.get(version) === handler) this.#handlers.delete(version);
      if (this.#untraced.get(version) === handler) this.#untraced.delete(version);
      const gone = () => Promise.reject(new Error("it was not loaded"));
      try {
        await this.#loader.get(name, gone).getEntrypoint(READY_ENTRYPOINT).fetch(UNLOAD_URL);
      } catch {
        // The isolate that would have answered has ended.
      }
      log("info", "version-unloaded", { worker, version });
    }
  }

  /** The isolate, reserved: its caller releases it or has it published. */
  async #load(
    worker: string,
    version: string,
    tailed = false,
  ): Promise<Loaded & { readonly handler: VersionHandler }> {
    this.#loading.set(version, Date.now());
    const name = `${this.#build}/${worker}/${version}#${this.#loads++}`;
    const dueAt = Date.now() + 2 * LIMITS.loading.prepareMs;
    const isolate: Loaded = { worker, version, handler: undefined, dueAt, prepared: true, tailed };
    try {
      const { code: untailed, assets } = await this.#read(version);
      const code = tailed ? { ...untailed, tails: [this.#collect(worker, version)] } : untailed;
      // From now on the loader has it, though the request that asks for it here may end before its answer.
      this.#loaded.set(name, isolate);
      await this.#loader
        .get(name, () => code)
        .getEntrypoint(READY_ENTRYPOINT)
        .fetch(READY_URL);
      const reload = () => {
        // A request that had chosen the version before it was unloaded, or whose code ended its own isolate: the next
        // one loads it under another name, whatever becomes of this one.
        if (this.#handlers.get(version) === handler) this.#handlers.delete(version);
        this.#loaded.set(name, {
          ...isolate,
          handler,
          prepared: false,
          dueAt: Date.now() + LIMITS.loading.drainMs,
        });
        return this.#read(version).then(({ code }) => code);
      };
      const stub = () => this.#loader.get(name, reload);
      const run: VersionHandler = (request) => stub().getEntrypoint().fetch(request);
      const handler: IsolateHandler = Object.assign(await this.#withAssets(worker, assets, run), {
        worker: stub,
      });
      this.#handlers.set(version, handler);
      this.#failures.delete(version);
      return Object.assign(isolate, { handler });
    } catch (error) {
      this.#loaded.delete(name);
      const why = messageOf(error);
      const attempts = (this.#failures.get(version)?.attempts ?? 0) + 1;
      const delay = Math.min(LIMITS.loading.loadRetryMs * 2 ** (attempts - 1), LIMITS.loading.maxLoadRetryMs);
      this.#failures.set(version, { worker, attempts, until: Date.now() + delay, why });
      log("error", "version-unavailable", { worker, version, attempts, why });
      throw new VersionUnavailable(version, why);
    } finally {
      this.#loading.delete(version);
    }
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
    return { code: servingCode(blob, this.#open), assets: blob.header.assets };
  }
}

function versionOf({ version }: Loaded): string {
  return version;
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
