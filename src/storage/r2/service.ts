/**
 * The other end of an R2 binding: workerd sends it what a Worker asks of the bucket (protocol.ts). Contents go through
 * here, between the Worker and the files; everything else is the index's.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { utf8 } from "../../lib/bytes.ts";
import type { Env } from "../../lib/env.ts";
import { newId } from "../../lib/ids.ts";
import { log } from "../../lib/log.ts";
import type { Rpc } from "../../lib/rpc.ts";
import { type BucketIndex, bucketIndex } from "./bucket-index.ts";
import { readContent, SenderLost, Source, writeContent } from "./content.ts";
import { badDigest, encodeRefusal, type R2ErrorName, type Refusal } from "./errors.ts";
import { R2_LIMITS } from "./limits.ts";
import { decodeCursor, pageLimit } from "./listing.ts";
import {
  checkDescribed,
  describedBy,
  encodeObject,
  expectedDigests,
  HEADERS,
  isKey,
  type Message,
  type MessageOf,
  parseMessage,
} from "./protocol.ts";
import type { Algorithm, Checksums } from "./types.ts";

/** A content that is on its way. */
interface Incoming {
  readonly source: Source;
  /** In bytes. */
  readonly size: number;
}

/** `r2Bucket` of workerd's configuration names this. */
export class R2Service extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    try {
      if (request.method === "GET") return await this.#read(request);
      const answer = this.#write(request);
      // A sender that goes away must not stop this before it has abandoned what it wrote.
      this.ctx.waitUntil(answer.catch(() => undefined));
      return await answer;
    } catch (error) {
      if (!(error instanceof SenderLost)) log("error", "r2_request_failed", { error: String(error) });
      return refuse({ name: "internal" });
    }
  }

  async #read(request: Request): Promise<Response> {
    const asked = parseMessage(request.headers.get(HEADERS.request) ?? "");
    if (asked?.method === "head") return this.#head(asked.object);
    if (asked?.method === "get") return this.#get(asked);
    if (asked?.method === "list") return this.#list(asked);
    return refuse({ name: "invalidArgument" });
  }

  async #write(request: Request): Promise<Response> {
    const metadataSize = Number(request.headers.get(HEADERS.metadataSize) ?? Number.NaN);
    const total = Number(request.headers.get("Content-Length") ?? Number.NaN);
    if (request.body === null || !(metadataSize <= total)) return refuse({ name: "invalidArgument" });
    const source = new Source(request.body);
    const asked = parseMessage(new TextDecoder().decode(await source.exactly(metadataSize)));
    const answer =
      asked === undefined
        ? refuse({ name: "invalidArgument" })
        : await this.#apply(asked, { source, size: total - metadataSize });
    if (!answer.ok) await source.drain();
    return answer;
  }

  async #apply(asked: Message, incoming: Incoming): Promise<Response> {
    switch (asked.method) {
      case "put":
        return this.#put(asked, incoming);
      case "delete":
        return this.#delete(asked);
      case "createMultipartUpload":
        return this.#createUpload(asked);
      case "uploadPart":
        return this.#uploadPart(asked, incoming);
      case "completeMultipartUpload":
        return this.#completeUpload(asked);
      case "abortMultipartUpload": {
        const failed = await this.#index.abortUpload({ id: asked.uploadId, key: asked.object });
        return failed === undefined ? new Response() : refuse({ name: failed });
      }
      default:
        return refuse({ name: "invalidArgument" });
    }
  }

  async #head(key: string): Promise<Response> {
    if (!isKey(key)) return refuse({ name: "invalidObjectName" });
    const object = await this.#index.head(key);
    return object === undefined ? refuse({ name: "noSuchKey" }) : answer(object);
  }

  async #get({ object: key, ...asked }: MessageOf<"get">): Promise<Response> {
    if (!isKey(key)) return refuse({ name: "invalidObjectName" });
    const found = await this.#index.get(key, asked);
    if (!found.ok) return refuse(found.error);
    const head = utf8(found.value.head);
    const body = await readContent(this.env, head, found.value);
    return new Response(body, { headers: headersOf(head) });
  }

  async #list(asked: MessageOf<"list">): Promise<Response> {
    const { prefix, delimiter, startAfter, cursor, include } = asked;
    const limit = pageLimit(asked.limit, include);
    if (limit === undefined) return refuse({ name: "invalidMaxKeys" });
    if (cursor !== undefined && decodeCursor(cursor) === undefined)
      return refuse({ name: "invalidArgument" });
    return answer(await this.#index.list({ prefix, delimiter, startAfter, cursor, limit }, include));
  }

  async #put(asked: MessageOf<"put">, { source, size }: Incoming): Promise<Response> {
    const described = describedBy(asked);
    const wrong = checkDescribed(described) ?? (size > R2_LIMITS.objectBytes ? "entityTooLarge" : undefined);
    if (wrong !== undefined) return refuse({ name: wrong });
    const expected = expectedDigests(asked);
    const algorithms = Object.keys({ md5: "", ...expected }) as Algorithm[];
    const version = newId();
    return this.#orAbandon(version, async () => {
      const { chunks, digests } = await writeContent(this.env, source, {
        content: version,
        size,
        algorithms,
      });
      const mismatch = firstMismatch(expected, digests);
      if (mismatch !== undefined) return refuse(mismatch);
      const etag = digests.md5 ?? "";
      const object = { ...described, version, size, etag, checksums: digests };
      const stored = await this.#index.put(object, chunks, asked.onlyIf);
      return stored.ok ? answer(JSON.stringify(encodeObject(stored.value))) : refuse({ name: stored.error });
    });
  }

  async #delete({ object, objects = [] }: MessageOf<"delete">): Promise<Response> {
    const keys = object === undefined ? objects : [object];
    if (!keys.every(isKey)) return refuse({ name: "invalidObjectName" });
    await this.#index.delete(keys);
    return new Response();
  }

  async #createUpload(asked: MessageOf<"createMultipartUpload">): Promise<Response> {
    const described = describedBy(asked);
    const wrong = checkDescribed(described);
    if (wrong !== undefined) return refuse({ name: wrong });
    return answer(JSON.stringify({ uploadId: await this.#index.createUpload(described) }));
  }

  async #uploadPart(asked: MessageOf<"uploadPart">, { source, size }: Incoming): Promise<Response> {
    if (!isKey(asked.object)) return refuse({ name: "invalidObjectName" });
    const content = newId();
    return this.#orAbandon(content, async () => {
      const expected = { content, size, algorithms: ["md5"] as const };
      const { chunks, digests } = await writeContent(this.env, source, expected);
      const md5 = digests.md5 ?? "";
      const upload = { id: asked.uploadId, key: asked.object };
      const part = { number: asked.partNumber, content, size, md5 };
      const failed = await this.#index.addPart(upload, part, chunks);
      return failed === undefined ? answer(JSON.stringify({ etag: md5 })) : refuse({ name: failed });
    });
  }

  async #completeUpload(asked: MessageOf<"completeMultipartUpload">): Promise<Response> {
    if (!isKey(asked.object)) return refuse({ name: "invalidObjectName" });
    const upload = { id: asked.uploadId, key: asked.object };
    const stored = await this.#index.completeUpload(upload, asked.parts);
    return stored.ok ? answer(JSON.stringify(encodeObject(stored.value))) : refuse({ name: stored.error });
  }

  /** What a put has written is abandoned unless it succeeds. */
  async #orAbandon(content: string, put: () => Promise<Response>): Promise<Response> {
    let done = false;
    try {
      const response = await put();
      done = response.ok;
      return response;
    } finally {
      if (!done) await this.#index.abandon(content);
    }
  }

  get #index(): Rpc<BucketIndex> {
    return bucketIndex(this.env);
  }
}

function firstMismatch(expected: Checksums, actual: Checksums): Refusal | undefined {
  for (const [name, given] of Object.entries(expected) as [Algorithm, string][]) {
    const digest = actual[name] ?? "";
    if (given !== digest) return badDigest(name, given, digest);
  }
  return undefined;
}

function headersOf(head: Uint8Array): Record<string, string> {
  return { [HEADERS.metadataSize]: String(head.byteLength) };
}

function answer(message: string): Response {
  const head = utf8(message);
  return new Response(head, { headers: headersOf(head) });
}

function refuse(refusal: Refusal | { readonly name: R2ErrorName }): Response {
  const { status, header } = encodeRefusal(refusal);
  const headers: Record<string, string> = { [HEADERS.error]: header };
  const object = "object" in refusal ? refusal.object : undefined;
  if (object === undefined) return new Response(null, { status, headers });
  // A get whose preconditions fail still returns the metadata.
  const head = utf8(JSON.stringify(encodeObject(object, { offset: 0, length: object.size })));
  return new Response(head, { status, headers: { ...headers, ...headersOf(head) } });
}
