import fc from "fast-check";
import { expect, test } from "vitest";
import { bucketsOf, type Manifest } from "../../src/assets/manifest.ts";
import { decode, pathnameOf } from "../../src/assets/paths.ts";
import { LIMITS } from "../../src/lib/limits.ts";

const { assetBucketBytes, assetBucketFiles, maxAssetBytes } = LIMITS.assets;

test("nothing missing makes no bucket", () => {
  expect(bucketsOf({ "/a": ["h", 1] }, [])).toEqual([]);
});

test("each missing file is in one bucket, in order, and no bucket of several files exceeds a limit", () => {
  const sizes = fc.array(fc.integer({ min: 0, max: maxAssetBytes }), { maxLength: 3 * assetBucketFiles });
  fc.assert(
    fc.property(sizes, (bytes) => {
      const manifest: Manifest = Object.fromEntries(bytes.map((size, i) => [`/${i}`, [`h${i}`, size]]));
      const missing = bytes.map((_, i) => `h${i}`);
      const buckets = bucketsOf(manifest, missing);
      expect(buckets.flat()).toEqual(missing);
      for (const bucket of buckets) {
        expect(bucket.length).toBeLessThanOrEqual(assetBucketFiles);
        const total = bucket.reduce((sum, hash) => sum + (bytes[Number(hash.slice(1))] ?? 0), 0);
        if (bucket.length > 1) expect(total).toBeLessThanOrEqual(assetBucketBytes);
      }
    }),
  );
});

test.each([
  ["https://shop.example/a/b?q=/c#d", "/a/b"],
  ["https://shop.example/a%20b", "/a%20b"],
  ["http://shop.example", "/"],
])("the path of %s is %s", (url, path) => {
  expect(pathnameOf(url)).toBe(path);
});

test("a path that cannot be decoded is kept unchanged", () => {
  expect([decode("/a%20b"), decode("/%zz")]).toEqual(["/a b", "/%zz"]);
});
