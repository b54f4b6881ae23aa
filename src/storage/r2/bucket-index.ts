/**
 * What is in the bucket: one Durable Object. It knows objects, uploads and where contents are. It never sees the bytes of
 * contents, except for those that are small enough to be kept here. service.ts writes and reads the others.
 */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { newId } from "../../lib/ids.ts";
import { log } from "../../lib/log.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { type Rpc, stubOf } from "../../lib/rpc.ts";
import { type Condition, holds } from "./conditions.ts";
import type { R2ErrorName, Refusal } from "./errors.ts";
import { deleteFiles } from "./files.ts";
import { Garbage } from "./garbage.ts";
import { type ListOptions, listPage } from "./listing.ts";
import { Objects } from "./objects.ts";
import { encodeObject, type MessageOf } from "./protocol.ts";
import { rangeOf } from "./ranges.ts";
import { reads } from "./reads.ts";
import type { Chunk, Described, Found, Range, StoredObject } from "./types.ts";
import { Uploads } from "./uploads.ts";

/** The index of the one bucket. Only where Sluice keeps it itself. */
export function bucketIndex({ R2_INDEX }: Env): Rpc<BucketIndex> {
  if (R2_INDEX === undefined) throw new Error("R2_INDEX is not bound: the platform keeps the bucket.");
  return stubOf<BucketIndex>(R2_INDEX, "buckets");
}

/** Of the process: puts that another one had begun have ended with it. */
let process: string | undefined;

interface UploadName {
  readonly id: string;
  readonly key: string;
}

export class BucketIndex extends DurableObject<Env> {
  readonly #garbage: Garbage;
  readonly #objects: Objects;
  readonly #uploads: Uploads;
  readonly #process: string;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    process ??= newId();
    this.#process = process;
    const { sql } = ctx.storage;
    this.#garbage = new Garbage(sql);
    this.#objects = new Objects(sql, this.#garbage);
    this.#uploads = new Uploads(sql, this.#objects);
    this.#garbage.takeOver(this.#process, Date.now());
    ctx.blockConcurrencyWhile(() => this.#schedule());
  }

  /** The object as the binding reads it. Answers are encoded here: a text crosses to the service at the least cost. */
  head(key: string): string | undefined {
    const object = this.#objects.find(key);
    return object && encode(object, { offset: 0, length: object.size });
  }

  versionOf(key: string): string | undefined {
    return this.#objects.find(key)?.version;
  }

  /** The object and where the bytes are. A read of files must say that it is under way (reads.ts). */
  get(
    key: string,
    asked: Pick<MessageOf<"get">, "onlyIf" | "range" | "rangeHeader">,
  ): Result<Found, Refusal> {
    const object = this.#objects.find(key);
    if (object === undefined) return err({ name: "noSuchKey" });
    if (!holds(asked.onlyIf ?? {}, object)) return err({ name: "preconditionFailed", object });
    const range = rangeOf(asked, object.size);
    if (!range.ok) return err({ name: range.error });
    const slices = this.#objects.slices(object.version, range.value);
    return ok({ head: encode(object, range.value), content: object.version, slices });
  }

  /** Notes a file before it is written. @param content the version or part that it is for */
  async reserve(file: string, content: string): Promise<void> {
    this.#garbage.reserve(file, content, { process: this.#process, now: Date.now() });
    await this.#schedule();
  }

  /** A put has failed after it reserved files. */
  async abandon(content: string): Promise<void> {
    this.#garbage.abandon(content, Date.now());
    await this.#schedule();
  }

  /** Names what was written. The time of upload is now, unless the object was in another bucket before. */
  async put(
    object: Omit<StoredObject, "uploaded"> & { uploaded?: number },
    chunks: readonly Chunk[],
    onlyIf: Condition | undefined,
  ): Promise<Result<StoredObject, R2ErrorName>> {
    const now = Date.now();
    const stored = { ...object, uploaded: object.uploaded ?? now };
    const done = this.ctx.storage.transactionSync((): Result<StoredObject, R2ErrorName> => {
      if (!holds(onlyIf ?? {}, this.#objects.find(object.key))) return err("preconditionFailed");
      if (!this.#objects.addContent(object.version, chunks)) return err("internal");
      this.#objects.set(stored, now);
      return ok(stored);
    });
    await this.#schedule();
    return done;
  }

  async delete(keys: readonly string[]): Promise<void> {
    const now = Date.now();
    this.ctx.storage.transactionSync(() => {
      for (const key of keys) this.#objects.remove(key, now);
    });
    await this.#schedule();
  }

  /** A page as the binding reads it. @param include which metadata it shows. 0: HTTP, 1: custom */
  list(options: ListOptions, include: readonly number[]): string {
    const { rows, prefixes, cursor } = listPage(options, this.#objects.rows);
    const objects = rows.map(({ http, custom, ...object }) =>
      encodeObject({
        ...object,
        http: include.includes(0) ? http : {},
        custom: include.includes(1) ? custom : {},
      }),
    );
    return JSON.stringify({ objects, truncated: cursor !== undefined, cursor, delimitedPrefixes: prefixes });
  }

  /** How many objects there are, and their bytes. */
  totals(): { objects: number; bytes: number } {
    return this.#objects.totals();
  }

  async createUpload(described: Described): Promise<string> {
    const id = newId() + newId();
    this.#uploads.create(id, described, Date.now());
    await this.#schedule();
    return id;
  }

  async addPart(
    upload: UploadName,
    part: { number: number; content: string; size: number; md5: string },
    chunks: readonly Chunk[],
  ): Promise<R2ErrorName | undefined> {
    const done = this.ctx.storage.transactionSync(() =>
      this.#uploads.addPart(upload, part, { chunks, now: Date.now() }),
    );
    await this.#schedule();
    return done;
  }

  async completeUpload(
    upload: UploadName,
    parts: readonly { part: number; etag: string }[],
  ): Promise<Result<StoredObject, R2ErrorName>> {
    const done = this.ctx.storage.transactionSync(() =>
      this.#uploads.complete(upload, parts, { version: newId(), now: Date.now() }),
    );
    await this.#schedule();
    return done;
  }

  async abortUpload(upload: UploadName): Promise<R2ErrorName | undefined> {
    const done = this.ctx.storage.transactionSync(() => this.#uploads.abort(upload, Date.now()));
    await this.#schedule();
    return done;
  }

  /** Deletes files that nothing names. */
  override async alarm(): Promise<void> {
    const now = Date.now();
    this.ctx.storage.transactionSync(() => this.#uploads.expire(now));
    const marked = this.#garbage.mark(now, (content) => reads.isUnderWay(content, now));
    const { deleted, failed } = await deleteFiles(this.env, marked);
    for (const file of deleted) this.#garbage.forget(file);
    for (const file of failed) this.#garbage.postpone(file, now);
    if (failed.length > 0) log("warn", "r2_files_not_deleted", { files: failed.length });
    await this.#schedule();
  }

  /** Sets the alarm to when the next file or upload is due. One that is set earlier finds nothing and comes here. */
  async #schedule(): Promise<void> {
    const due = Math.min(this.#garbage.due() ?? Infinity, this.#uploads.due() ?? Infinity);
    if (due === Infinity) return;
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > due) await this.ctx.storage.setAlarm(due);
  }
}

function encode(object: StoredObject, range: Range): string {
  return JSON.stringify(encodeObject(object, range));
}
