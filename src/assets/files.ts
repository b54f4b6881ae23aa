/** Files of versions' assets as they are read from KV. Small files stay in memory: `LIMITS.assets.assetCacheBytes` in all. */
import { LIMITS } from "../lib/limits.ts";
import type { AssetMetadata } from "./types.ts";

interface CachedFile {
  readonly bytes: Uint8Array;
  readonly contentType: string | undefined;
}

type StreamedFile = Omit<CachedFile, "bytes"> & { readonly stream: ReadableStream };

export class FileCache {
  readonly #kv: KVNamespace;
  /** By KV key; insertion order is the order of last use. */
  readonly #files = new Map<string, CachedFile>();
  #bytes = 0;

  constructor(kv: KVNamespace) {
    this.#kv = kv;
  }

  /**
   * Rejects if KV does not have the file.
   *
   * @param key KV key
   * @param size in bytes
   * @returns the whole file, or a stream of a large one
   */
  async read(key: string, size: number): Promise<CachedFile | StreamedFile> {
    const cached = this.#files.get(key);
    if (cached !== undefined) {
      this.#files.delete(key);
      this.#files.set(key, cached);
      return cached;
    }
    const options = { type: "stream", cacheTtl: 86_400 } as const;
    const { value, metadata } = await this.#kv.getWithMetadata<AssetMetadata>(key, options);
    if (value === null) throw new Error(`the file ${key} is not in KV`);
    const contentType = metadata?.contentType ?? undefined;
    if (size > LIMITS.assets.maxCachedAssetBytes) {
      return { stream: value.pipeThrough(new FixedLengthStream(size)), contentType };
    }
    const file = { bytes: new Uint8Array(await new Response(value).arrayBuffer()), contentType };
    this.#remember(key, file);
    return file;
  }

  /** A file's bytes if they are in memory, without counting as a use. */
  peek(key: string): Uint8Array | undefined {
    return this.#files.get(key)?.bytes;
  }

  #remember(key: string, file: CachedFile): void {
    // Another request may have read it during the wait.
    if (this.#files.has(key)) return;
    this.#files.set(key, file);
    this.#bytes += file.bytes.byteLength;
    for (const [oldest, { bytes }] of this.#files) {
      if (this.#bytes <= LIMITS.assets.assetCacheBytes) return;
      this.#files.delete(oldest);
      this.#bytes -= bytes.byteLength;
    }
  }
}
