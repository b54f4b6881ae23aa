/** `R2Bucket` for a version's code: calls go to channel.ts. */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Rpc } from "../../lib/rpc.ts";
import type { R2Binding } from "./channel.ts";
import type { R2Content, R2Meta } from "./types.ts";

type Remote = Rpc<R2Binding>;
type Content = Exclude<R2Content, null> | Blob | null;

class Checksums {
  readonly md5?: ArrayBuffer;
  readonly sha1?: ArrayBuffer;
  readonly sha256?: ArrayBuffer;
  readonly sha384?: ArrayBuffer;
  readonly sha512?: ArrayBuffer;

  constructor(checksums: R2Meta["checksums"]) {
    Object.assign(this, checksums);
  }

  toJSON(): Record<string, string> {
    const known = Object.entries(this) as [string, ArrayBuffer | undefined][];
    return Object.fromEntries(
      known.flatMap(([name, bytes]) =>
        bytes === undefined ? [] : [[name, bytesToHex(new Uint8Array(bytes))]],
      ),
    );
  }
}

/** An object without its content. */
class HeadResult {
  declare readonly key: string;
  declare readonly httpMetadata?: R2HTTPMetadata;
  readonly checksums: Checksums;

  constructor({ checksums, ...meta }: R2Meta) {
    for (const [name, value] of Object.entries(meta)) {
      if (value !== undefined) Object.assign(this, { [name]: value });
    }
    this.checksums = new Checksums(checksums);
  }

  writeHttpMetadata(headers: Headers): void {
    const names = {
      contentType: "content-type",
      contentLanguage: "content-language",
      contentDisposition: "content-disposition",
      contentEncoding: "content-encoding",
      cacheControl: "cache-control",
    } as const;
    const { httpMetadata = {} } = this;
    for (const [field, header] of Object.entries(names) as [keyof typeof names, string][]) {
      const value = httpMetadata[field];
      if (value !== undefined) headers.set(header, value);
    }
    if (httpMetadata.cacheExpiry !== undefined)
      headers.set("expires", httpMetadata.cacheExpiry.toUTCString());
  }
}

class GetResult extends HeadResult {
  readonly #response: Response;
  readonly #type: string | undefined;

  constructor(meta: R2Meta, body: ReadableStream) {
    super(meta);
    this.#response = new Response(body);
    this.#type = meta.httpMetadata?.contentType;
  }

  get body(): ReadableStream | null {
    return this.#response.body;
  }

  get bodyUsed(): boolean {
    return this.#response.bodyUsed;
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return this.#response.arrayBuffer();
  }

  async bytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.#response.arrayBuffer());
  }

  async text(): Promise<string> {
    return this.#response.text();
  }

  async json(): Promise<unknown> {
    return this.#response.json();
  }

  async blob(): Promise<Blob> {
    return new Blob(
      [await this.#response.arrayBuffer()],
      this.#type === undefined ? {} : { type: this.#type },
    );
  }
}

class R2MultipartUpload {
  readonly #remote: Remote;
  readonly key: string;
  readonly uploadId: string;

  constructor(remote: Remote, key: string, uploadId: string) {
    this.#remote = remote;
    this.key = key;
    this.uploadId = uploadId;
  }

  async uploadPart(partNumber: number, content: Exclude<Content, null>) {
    const sent = (await toContent(content)) as Exclude<R2Content, null>;
    return this.#remote.uploadPart(this.key, this.uploadId, partNumber, sent);
  }

  async abort(): Promise<void> {
    await this.#remote.abortMultipartUpload(this.key, this.uploadId);
  }

  async complete(parts: R2UploadedPart[]): Promise<HeadResult> {
    const sent = parts.map(({ partNumber, etag }) => ({ partNumber, etag }));
    return new HeadResult(await this.#remote.completeMultipartUpload(this.key, this.uploadId, sent));
  }
}

export class R2Bucket {
  readonly #remote: Remote;

  constructor(remote: Remote) {
    this.#remote = remote;
  }

  async head(key: string): Promise<HeadResult | null> {
    return orNull(await this.#remote.head(key));
  }

  async get(key: string, options?: R2GetOptions): Promise<HeadResult | null> {
    const found = await this.#remote.get(key, options);
    if (found === null) return null;
    return found.body === undefined ? new HeadResult(found.meta) : new GetResult(found.meta, found.body);
  }

  async put(key: string, content: Content, options?: R2PutOptions): Promise<HeadResult | null> {
    return orNull(await this.#remote.put(key, await toContent(content), options));
  }

  async delete(keys: string | string[]): Promise<void> {
    await this.#remote.delete(keys);
  }

  async list(options?: R2ListOptions) {
    const { objects, ...page } = await this.#remote.list(options);
    return { ...page, objects: objects.map((meta) => new HeadResult(meta)) };
  }

  async createMultipartUpload(key: string, options?: R2MultipartOptions): Promise<R2MultipartUpload> {
    return this.resumeMultipartUpload(key, await this.#remote.createMultipartUpload(key, options));
  }

  resumeMultipartUpload(key: string, uploadId: string): R2MultipartUpload {
    return new R2MultipartUpload(this.#remote, key, uploadId);
  }
}

function orNull(meta: R2Meta | null): HeadResult | null {
  return meta && new HeadResult(meta);
}

/** A call between isolates takes 32 MiB at most. Anything larger than this goes as a stream, which keeps its length. */
const MAX_IN_CALL_BYTES = 8 * 1024 * 1024;

/** Content in a form that can be sent to another isolate: a blob cannot, its bytes can. */
async function toContent(content: Content): Promise<R2Content> {
  if (content === undefined) {
    throw new TypeError(
      "Failed to execute 'put' on 'R2Bucket': parameter 2 is not of type 'JsReadableStream or ArrayBuffer or ArrayBufferView or string or Blob'.",
    );
  }
  if (content === null || content instanceof ReadableStream) return content;
  if (content instanceof Blob) return fitting(await content.arrayBuffer());
  if (typeof content === "string") {
    // A UTF-16 unit takes at most three bytes of UTF-8.
    return content.length * 3 <= MAX_IN_CALL_BYTES
      ? content
      : fitting(new TextEncoder().encode(content) as Uint8Array<ArrayBuffer>);
  }
  // A copy: a view would be sent with its whole buffer.
  if (ArrayBuffer.isView(content)) {
    const { buffer, byteOffset, byteLength } = content;
    return fitting(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).slice());
  }
  return content instanceof ArrayBuffer ? fitting(content) : content;
}

function fitting(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): R2Content {
  return bytes.byteLength <= MAX_IN_CALL_BYTES ? bytes : (new Response(bytes).body as ReadableStream);
}
