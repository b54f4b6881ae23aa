/** `r2_bucket`: all buckets of all Workers share one bucket, with each bucket's name as a prefix. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { LIMITS } from "../../lib/limits.ts";
import { inPieces } from "./pieces.ts";
import type { R2Content, R2Meta } from "./types.ts";

interface Props {
  /** Name of the bucket. */
  readonly bucket: string;
}

interface R2Found {
  readonly meta: R2Meta;
  /** Undefined if a condition was not met. */
  readonly body: ReadableStream | undefined;
}

interface R2Page {
  readonly objects: R2Meta[];
  readonly truncated: boolean;
  readonly cursor?: string;
  readonly delimitedPrefixes: string[];
}

/** One bucket within the shared one, with the keys that its users know. */
export function bucketOf(all: R2Bucket, name: string) {
  const prefix = `${name}/`;
  const inside = (key: string) => prefix + key;
  const toMeta = (object: R2Object): R2Meta => ({
    key: object.key.slice(prefix.length),
    version: object.version,
    size: object.size,
    etag: object.etag,
    httpEtag: object.httpEtag,
    uploaded: object.uploaded,
    checksums: { ...object.checksums },
    httpMetadata: object.httpMetadata && { ...object.httpMetadata },
    customMetadata: object.customMetadata && { ...object.customMetadata },
    range: object.range && ({ ...object.range } as R2Meta["range"]),
    storageClass: object.storageClass,
  });
  const part = (key: string, uploadId: string) => all.resumeMultipartUpload(inside(key), uploadId);
  return {
    async head(key: string): Promise<R2Meta | null> {
      const found = await all.head(inside(key));
      return found && toMeta(found);
    },
    async get(key: string, options?: R2GetOptions): Promise<R2Found | null> {
      const found = await all.get(inside(key), options ?? {});
      return found && { meta: toMeta(found), body: "body" in found ? found.body : undefined };
    },
    async put(key: string, content: R2Content, options?: R2PutOptions): Promise<R2Meta | null> {
      const stored =
        content instanceof ReadableStream
          ? await withLength(
              () => all.put(inside(key), content, options),
              () => putStream(all, inside(key), content, options),
            )
          : await all.put(inside(key), content, options);
      return stored && toMeta(stored);
    },
    async delete(keys: string | string[]): Promise<void> {
      await all.delete(typeof keys === "string" ? inside(keys) : keys.map(inside));
    },
    async list(options: R2ListOptions = {}): Promise<R2Page> {
      const { startAfter } = options ?? {};
      const found = await all.list({
        ...options,
        prefix: inside(options?.prefix ?? ""),
        ...(startAfter === undefined ? {} : { startAfter: inside(startAfter) }),
      });
      return {
        objects: found.objects.map(toMeta),
        truncated: found.truncated,
        ...(found.truncated ? { cursor: found.cursor } : {}),
        delimitedPrefixes: found.delimitedPrefixes.map((each) => each.slice(prefix.length)),
      };
    },
    async createMultipartUpload(key: string, options?: R2MultipartOptions): Promise<string> {
      return (await all.createMultipartUpload(inside(key), options)).uploadId;
    },
    async uploadPart(key: string, uploadId: string, number: number, content: Exclude<R2Content, null>) {
      const upload = part(key, uploadId);
      const { partNumber, etag } =
        content instanceof ReadableStream
          ? await withLength(
              () => upload.uploadPart(number, content),
              async () => upload.uploadPart(number, await new Response(content).arrayBuffer()),
            )
          : await upload.uploadPart(number, content);
      return { partNumber, etag };
    },
    async abortMultipartUpload(key: string, uploadId: string): Promise<void> {
      await part(key, uploadId).abort();
    },
    async completeMultipartUpload(key: string, uploadId: string, parts: R2UploadedPart[]): Promise<R2Meta> {
      return toMeta(await part(key, uploadId).complete(parts));
    },
  };
}

export type Bucket = ReturnType<typeof bucketOf>;

/** R2 refuses a stream of unknown length before it reads any of it; then the second way is tried. */
async function withLength<T>(known: () => Promise<T>, unknown: () => Promise<T>): Promise<T> {
  try {
    return await known();
  } catch (error) {
    if (error instanceof TypeError && error.message.includes("known length")) return unknown();
    throw error;
  }
}

/**
 * Stores a stream of unknown length: a small one in one piece, a longer one in parts, so that only one part is in memory
 * at a time.
 */
async function putStream(
  bucket: R2Bucket,
  key: string,
  content: ReadableStream,
  options: R2PutOptions | undefined,
): Promise<R2Object | null> {
  const pieces = inPieces(content, LIMITS.bindings.r2PartBytes);
  const { value: first = new Uint8Array() } = await pieces.next();
  // A condition or a checksum concerns the whole object, and parts cannot be checked against it.
  const { onlyIf, md5, sha1, sha256, sha384, sha512 } = options ?? {};
  const aboutWhole = [onlyIf, md5, sha1, sha256, sha384, sha512].some((each) => each !== undefined);
  if (first.byteLength < LIMITS.bindings.r2PartBytes) return bucket.put(key, first, options);
  if (aboutWhole) {
    throw new TypeError(
      "put: with a condition or a checksum, a stream may have 8 MiB at most; pass an ArrayBuffer.",
    );
  }
  const upload = await bucket.createMultipartUpload(key, options);
  try {
    const parts = [await upload.uploadPart(1, first)];
    for await (const piece of pieces) parts.push(await upload.uploadPart(parts.length + 1, piece));
    return await upload.complete(parts);
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** The end that a version's client calls (client.ts). */
export class R2Binding extends WorkerEntrypoint<Env, Props> {
  head(...args: Parameters<Bucket["head"]>) {
    return this.#bucket.head(...args);
  }

  get(...args: Parameters<Bucket["get"]>) {
    return this.#bucket.get(...args);
  }

  put(...args: Parameters<Bucket["put"]>) {
    return this.#bucket.put(...args);
  }

  delete(...args: Parameters<Bucket["delete"]>) {
    return this.#bucket.delete(...args);
  }

  list(...args: Parameters<Bucket["list"]>) {
    return this.#bucket.list(...args);
  }

  createMultipartUpload(...args: Parameters<Bucket["createMultipartUpload"]>) {
    return this.#bucket.createMultipartUpload(...args);
  }

  uploadPart(...args: Parameters<Bucket["uploadPart"]>) {
    return this.#bucket.uploadPart(...args);
  }

  abortMultipartUpload(...args: Parameters<Bucket["abortMultipartUpload"]>) {
    return this.#bucket.abortMultipartUpload(...args);
  }

  completeMultipartUpload(...args: Parameters<Bucket["completeMultipartUpload"]>) {
    return this.#bucket.completeMultipartUpload(...args);
  }

  get #bucket(): Bucket {
    return bucketOf(this.env.SLUICE_BUCKET, this.ctx.props.bucket);
  }
}
