/** The files of an upload, in the form in which wrangler lists them. Pure. */
import { LIMITS } from "../lib/limits.ts";
import type { AssetFile } from "./types.ts";

/** The files of a folder: hash and size by path. */
export type Manifest = Readonly<Record<string, AssetFile>>;

/** Groups the files that wrangler is to send: one request per group. @param missing hashes */
export function bucketsOf(manifest: Manifest, missing: readonly string[]): string[][] {
  const sizes = new Map(Object.values(manifest));
  const buckets: string[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const hash of missing) {
    const size = sizes.get(hash) ?? 0;
    const last = buckets.at(-1);
    if (
      last === undefined ||
      bytes + size > LIMITS.assets.assetBucketBytes ||
      last.length >= LIMITS.assets.assetBucketFiles
    ) {
      buckets.push([hash]);
      bytes = size;
    } else {
      last.push(hash);
      bytes += size;
    }
  }
  return buckets;
}
