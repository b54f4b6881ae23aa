/** The assets that this process has read: at most `LIMITS.assets.maxAssetSets` sets, and a cache of small files. */
import { LIMITS } from "../lib/limits.ts";
import type { Retained } from "../versions/types.ts";
import { FileCache } from "./files.ts";
import type { StoredAssets } from "./types.ts";
import { VersionAssets } from "./version-assets.ts";

export class AssetStore {
  readonly #kv: KVNamespace;
  readonly #retained: (worker: string) => Promise<readonly Retained[]>;
  readonly #cache: FileCache;
  /** By KV key; insertion order is the order of last use. */
  readonly #sets = new Map<string, VersionAssets>();

  /** @param retained lists the versions of a Worker whose files stay reachable, in the order in which to search them */
  constructor(kv: KVNamespace, retained: (worker: string) => Promise<readonly Retained[]>) {
    this.#kv = kv;
    this.#retained = retained;
    this.#cache = new FileCache(kv);
  }

  /** Rejects if KV does not have the set. @param set KV key */
  async load(worker: string, set: string): Promise<VersionAssets> {
    const held = this.#sets.get(set);
    if (held !== undefined) {
      this.#sets.delete(set);
      this.#sets.set(set, held);
      return held;
    }
    const stored = await this.#kv.get<StoredAssets>(set, { type: "json", cacheTtl: 86_400 });
    if (stored === null) throw new Error("its assets are not in KV");
    const assets = new VersionAssets(set, stored, {
      cache: this.#cache,
      retaining: (pathname, asking) => this.#retaining(worker, pathname, asking),
    });
    this.#sets.set(set, assets);
    const oldest = this.#sets.keys().next().value;
    if (this.#sets.size > LIMITS.assets.maxAssetSets && oldest !== undefined) this.#sets.delete(oldest);
    return assets;
  }

  /**
   * The assets of another retained version that has a file of this path. A set that cannot be read is skipped. Rejects
   * if the list of retained versions cannot be read.
   */
  async #retaining(
    worker: string,
    pathname: string,
    asking: VersionAssets,
  ): Promise<VersionAssets | undefined> {
    const now = Date.now();
    const seen = new Set([asking.set]);
    for (const { set, until } of await this.#retained(worker)) {
      if (seen.has(set) || (until !== null && until <= now)) continue;
      seen.add(set);
      const assets = await this.load(worker, set).catch(() => undefined);
      // Code may protect the files behind it, so only a version with code in front of its files gets them.
      if (assets?.has(pathname) && (!assets.isGuarded || asking.isGuarded)) return assets;
    }
    return undefined;
  }
}
