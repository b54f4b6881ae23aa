import { expect, test } from "vitest";
import { FileCache } from "../../src/assets/files.ts";
import { LIMITS } from "../../src/lib/limits.ts";

const { maxCachedAssetBytes, assetCacheBytes } = LIMITS.assets;

/** A KV whose every key has this many bytes, and the keys that were read of it. */
function kvWith(size: number, isMissing = false) {
  const reads: string[] = [];
  const kv = {
    getWithMetadata: async (key: string) => {
      reads.push(key);
      // Bytes are enough here: what is read is only handed to a Response.
      const value = isMissing ? null : new Uint8Array(size);
      return { value, metadata: { contentType: "text/plain" } };
    },
  } as unknown as KVNamespace;
  return { reads, cache: new FileCache(kv) };
}

test("a small file is read from KV once", async () => {
  const { reads, cache } = kvWith(3);
  expect(await cache.read("a", 3)).toEqual({ bytes: new Uint8Array(3), contentType: "text/plain" });
  await cache.read("a", 3);
  expect(reads).toEqual(["a"]);
  expect(cache.peek("a")).toHaveLength(3);
});

test("a file that KV does not have is an error that names it, and is read again next time", async () => {
  const { reads, cache } = kvWith(3, true);
  await expect(cache.read("a", 3)).rejects.toThrow("the file a is not in KV");
  await expect(cache.read("a", 3)).rejects.toThrow();
  expect(reads).toEqual(["a", "a"]);
});

test("beyond its memory, the file that was used longest ago is dropped; a peek is no use", async () => {
  const { cache } = kvWith(maxCachedAssetBytes);
  const fits = assetCacheBytes / maxCachedAssetBytes;
  for (let i = 0; i < fits; i++) await cache.read(`f${i}`, maxCachedAssetBytes);
  await cache.read("f0", maxCachedAssetBytes);
  cache.peek("f1");
  await cache.read("new", maxCachedAssetBytes);
  // As booleans: to print a MiB takes the assertion seconds.
  expect(["f0", "f1", "f2"].map((key) => cache.peek(key) !== undefined)).toEqual([true, false, true]);
});
