/**
 * Carries over what release 0.1 kept in KV and R2. The Node side sends `POST /` before anything else is served, and puts
 * the old folders aside if the answer is 200. A run that ends early leaves the old data as it was, and what it has
 * copied; the next one copies the rest.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { stubOf } from "../../lib/rpc.ts";
import { bucketIndex } from "../r2/bucket-index.ts";
import { Source, writeContent } from "../r2/content.ts";
import type { Chunk } from "../r2/types.ts";
import { type Copied, copyAll, expirationOf, type Outcome } from "./copy.ts";
import type { LegacyKv, LegacyR2 } from "./databases.ts";
import type { LegacyEnv } from "./env.ts";
import type { OldBlob, OldEntry, OldObject } from "./types.ts";

/** The names that release 0.1 gave Miniflare. */
const NAMES = { kv: { sluice: "SLUICE_KV", data: "SLUICE_DATA" }, bucket: "buckets" } as const;

/** How many failures an answer names. */
const SHOWN = 20;

export class Legacy extends WorkerEntrypoint<LegacyEnv> {
  override async fetch(request: Request): Promise<Response> {
    if (request.method !== "POST") return Response.json({ error: "Send POST /." }, { status: 405 });
    try {
      const sluice = await this.#copyKv("sluice");
      const data = await this.#copyKv("data");
      const bucket = await this.#copyBucket();
      const unfinished = await stubOf<LegacyR2>(this.env.LEGACY_R2, NAMES.bucket).unfinishedUploads();
      const failures = [sluice, data, bucket].flatMap((outcome) => outcome.failures);
      const report = { kv: { sluice: counts(sluice), data: counts(data) }, r2: counts(bucket) };
      if (failures.length === 0) {
        return Response.json({ ...report, left_behind: { unfinished_uploads: unfinished } });
      }
      const error = `${failures.length} entries could not be copied: ${failures.slice(0, SHOWN).join("; ")}`;
      return Response.json({ ...report, error }, { status: 500 });
    } catch (error) {
      return Response.json({ error: String(error) }, { status: 500 });
    }
  }

  async #copyKv(name: keyof typeof NAMES.kv): Promise<Outcome> {
    const old = stubOf<LegacyKv>(this.env.LEGACY_KV, name);
    const kv = this.env[NAMES.kv[name]];
    let lasting = 0;
    const outcome = await copyAll<OldEntry>(
      (...args) => old.entriesAfter(...args),
      async ({ key, blob, expiration, metadata }) => {
        const until = expirationOf(expiration, Date.now());
        if (until === "expired") return "skipped";
        const value = await openBlob(this.env.LEGACY_KV_BLOBS, name, blob);
        await kv.put(key, value, {
          ...(until === undefined ? {} : { expiration: until }),
          ...(metadata === null ? {} : { metadata: JSON.parse(metadata) }),
        });
        if (until === undefined) lasting += 1;
        return "copied";
      },
    );
    const found = await countLasting(kv);
    if (found < lasting) {
      outcome.failures.push(`KV namespace ${name}: ${found} keys are there after ${lasting} were copied`);
    }
    return outcome;
  }

  async #copyBucket(): Promise<Outcome> {
    const old = stubOf<LegacyR2>(this.env.LEGACY_R2, NAMES.bucket);
    const outcome = await copyAll<OldObject>(
      (...args) => old.objectsAfter(...args),
      (object) => this.#copyObject(object),
    );
    const { objects } = await bucketIndex(this.env).totals();
    const copied = outcome.copied + outcome.skipped;
    if (objects < copied) {
      outcome.failures.push(`bucket: ${objects} objects are there after ${copied} were copied`);
    }
    return outcome;
  }

  /** An object of the same version is the same object. */
  async #copyObject({ blobs, ...object }: OldObject): Promise<Copied> {
    const index = bucketIndex(this.env);
    if ((await index.versionOf(object.key)) === object.version) return "skipped";
    try {
      const chunks: Chunk[] = [];
      for (const blob of blobs) chunks.push(...(await this.#copyBlob(object.version, blob)));
      const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
      if (size !== object.size) throw new Error(`has ${size} of ${object.size} bytes`);
      const stored = await index.put({ ...object, storageClass: "" }, chunks, undefined);
      if (!stored.ok) throw new Error(`is refused: ${stored.error}`);
      return "copied";
    } catch (error) {
      await index.abandon(object.version);
      throw error;
    }
  }

  async #copyBlob(content: string, { blob, size, md5 }: OldBlob): Promise<Chunk[]> {
    const source = new Source(await openBlob(this.env.LEGACY_R2_BLOBS, NAMES.bucket, blob));
    const { chunks, digests } = await writeContent(this.env, source, { content, size, algorithms: ["md5"] });
    if (digests.md5 !== md5) throw new Error(`the file ${blob} has the MD5 ${digests.md5}, not ${md5}`);
    return chunks;
  }
}

async function openBlob(disk: Fetcher, namespace: string, blob: string): Promise<ReadableStream<Uint8Array>> {
  const { ok, status, body } = await disk.fetch(`http://blobs/${namespace}/blobs/${blob}`);
  if (ok && body !== null) return body;
  await body?.cancel();
  throw new Error(`the file ${namespace}/blobs/${blob} cannot be read: status ${status}`);
}

/** Keys without an expiration. */
async function countLasting(kv: KVNamespace): Promise<number> {
  let count = 0;
  let cursor: string | undefined;
  do {
    const page: KVNamespaceListResult<unknown> = await kv.list(cursor === undefined ? {} : { cursor });
    count += page.keys.filter(({ expiration }) => expiration === undefined).length;
    cursor = page.list_complete ? undefined : page.cursor;
  } while (cursor !== undefined);
  return count;
}

function counts({ copied, skipped, failures }: Outcome) {
  return { copied, skipped, failed: failures.length };
}
