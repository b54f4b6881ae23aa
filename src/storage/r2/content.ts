/** Contents as streams: takes one apart into chunks, and puts one together. At most a few buffers are in memory. */
import { toHex } from "../../lib/bytes.ts";
import type { Env } from "../../lib/env.ts";
import { newId } from "../../lib/ids.ts";
import { bucketIndex } from "./bucket-index.ts";
import { openFile, writeFile } from "./files.ts";
import { KEPT } from "./limits.ts";
import { reads } from "./reads.ts";
import type { Algorithm, Checksums, Chunk, Slice } from "./types.ts";

/** How much is read at a time, in bytes. */
const BUFFER_BYTES = 256 * 1024;

const SUBTLE: Readonly<Record<Algorithm, string>> = {
  md5: "MD5",
  sha1: "SHA-1",
  sha256: "SHA-256",
  sha384: "SHA-384",
  sha512: "SHA-512",
};

/** A stream of bytes that is read in pieces of chosen sizes. */
export class Source {
  readonly #reader: ReadableStreamBYOBReader;
  #buffer = new Uint8Array(0);

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader({ mode: "byob" });
  }

  /** Exactly so many bytes, or an error. */
  async exactly(size: number): Promise<Uint8Array<ArrayBuffer>> {
    if (size === 0) return new Uint8Array(0);
    const { value } = await this.#reader.readAtLeast(size, new Uint8Array(size)).catch(lost);
    if (value === undefined || value.byteLength < size) throw new SenderLost();
    return value as Uint8Array<ArrayBuffer>;
  }

  /** Some of the next bytes, `most` at most. They are valid until the next call. */
  async some(most: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#buffer.byteLength === 0) this.#buffer = new Uint8Array(BUFFER_BYTES);
    const view = this.#buffer.subarray(0, Math.min(most, BUFFER_BYTES));
    const { value, done } = await this.#reader.read(view).catch(lost);
    if (done || value === undefined) throw new SenderLost();
    this.#buffer = new Uint8Array(value.buffer as ArrayBuffer);
    return value as Uint8Array<ArrayBuffer>;
  }

  /** Reads the rest. A sender that is not read to the end sees a lost connection instead of the answer. */
  async drain(): Promise<void> {
    let done = false;
    while (!done) ({ done } = await this.#reader.read(new Uint8Array(BUFFER_BYTES)).catch(lost));
  }
}

/** The content ended before all of its bytes had come. */
export class SenderLost extends Error {}

function lost(error: unknown): never {
  throw new SenderLost(String(error));
}

export interface Written {
  readonly chunks: Chunk[];
  readonly digests: Checksums;
}

/** What a content is to be called and to have. */
export interface Expected {
  /** Its name in the index. */
  readonly content: string;
  /** In bytes. */
  readonly size: number;
  readonly algorithms: readonly Algorithm[];
}

/** Stores the next bytes of a source, which the index does not name yet. If this fails, the caller abandons the content. */
export async function writeContent(env: Env, source: Source, expected: Expected): Promise<Written> {
  const { content, size, algorithms } = expected;
  if (size <= KEPT.inlineBytes) {
    const bytes = await source.exactly(size);
    const each = algorithms.map(async (name) => [
      name,
      toHex(await crypto.subtle.digest(SUBTLE[name], bytes)),
    ]);
    const chunks = size === 0 ? [] : [{ size, bytes: bytes.buffer }];
    return { chunks, digests: Object.fromEntries(await Promise.all(each)) };
  }
  const digesting = algorithms.map((name) => new Digester(name));
  const chunks: Chunk[] = [];
  for (let start = 0; start < size; start += KEPT.chunkBytes) {
    const file = newId();
    const length = Math.min(KEPT.chunkBytes, size - start);
    await bucketIndex(env).reserve(file, content);
    await writeChunk(env, file, { source, length, digesting });
    chunks.push({ size: length, file });
  }
  const digests = digesting.map(async (each) => [each.name, await each.end()]);
  return { chunks, digests: Object.fromEntries(await Promise.all(digests)) };
}

interface Pumped {
  readonly source: Source;
  /** In bytes. */
  readonly length: number;
  readonly digesting: readonly Digester[];
}

/** Either end may fail, and then so does the other. This ends after both: only then may the file be deleted. */
async function writeChunk(env: Env, file: string, pumped: Pumped): Promise<void> {
  const { readable, writable } = new FixedLengthStream(pumped.length);
  const writer = (writable as WritableStream<Uint8Array>).getWriter();
  const abort = async (error: unknown) => {
    await writer.abort(error).catch(() => undefined);
    throw error;
  };
  const ends = [pump(pumped, writer).catch(abort), writeFile(env, file, readable).catch(abort)];
  await Promise.allSettled(ends);
  await Promise.all(ends);
}

async function pump(
  { source, length, digesting }: Pumped,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  for (let left = length; left > 0; ) {
    const bytes = await source.some(left);
    for (const each of digesting) await each.add(bytes);
    await writer.write(bytes);
    left -= bytes.byteLength;
  }
  await writer.close();
}

class Digester {
  readonly name: Algorithm;
  readonly #stream: DigestStream;
  readonly #writer: WritableStreamDefaultWriter<ArrayBuffer | ArrayBufferView>;

  constructor(name: Algorithm) {
    this.name = name;
    this.#stream = new crypto.DigestStream(SUBTLE[name]);
    this.#writer = this.#stream.getWriter();
    // Awaited only if all bytes come.
    this.#stream.digest.catch(() => undefined);
  }

  add(bytes: Uint8Array): Promise<void> {
    return this.#writer.write(bytes);
  }

  /** In hex. */
  async end(): Promise<string> {
    await this.#writer.close();
    return toHex(await this.#stream.digest);
  }
}

/**
 * The bytes of the slices, after `head`. The first file is open when this resolves; the others are kept until they
 * are, or the reader stops.
 *
 * @param content whose slices these are
 */
export async function readContent(
  env: Env,
  head: Uint8Array<ArrayBuffer>,
  { content, slices }: { readonly content: string; readonly slices: readonly Slice[] },
): Promise<BodyInit> {
  const inline = slices.flatMap(({ chunk, offset, length }) =>
    "bytes" in chunk ? [new Uint8Array(chunk.bytes, offset, length)] : [],
  );
  if (inline.length === slices.length) return new Blob([head, ...inline]).arrayBuffer();
  const read = reads.begin(content, Date.now());
  const opened = await open(env, slices[0]).catch((error: unknown) => {
    reads.end(read);
    throw error;
  });
  const size = slices.reduce((sum, { length }) => sum + length, head.byteLength);
  const { readable, writable } = new FixedLengthStream(size);
  const send = async () => {
    try {
      await write(writable as WritableStream<Uint8Array>, head);
      await append(writable as WritableStream<Uint8Array>, opened);
      for (const slice of slices.slice(1)) {
        read.at = Date.now();
        await append(writable as WritableStream<Uint8Array>, await open(env, slice));
      }
      await writable.close();
    } catch (error) {
      // The reader has gone, or gets this error.
      await writable.abort(error).catch(() => undefined);
    } finally {
      reads.end(read);
    }
  };
  void send();
  return readable;
}

type Opened = Uint8Array | ReadableStream<Uint8Array>;

async function open(env: Env, slice: Slice | undefined): Promise<Opened> {
  if (slice === undefined) return new Uint8Array(0);
  const { chunk, offset, length } = slice;
  return "bytes" in chunk
    ? new Uint8Array(chunk.bytes, offset, length)
    : openFile(env, chunk.file, slice, chunk.size);
}

async function append(writable: WritableStream<Uint8Array>, opened: Opened): Promise<void> {
  if (opened instanceof Uint8Array) await write(writable, opened);
  else await opened.pipeTo(writable, { preventClose: true });
}

async function write(writable: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  if (bytes.byteLength === 0) return;
  const writer = writable.getWriter();
  await writer.write(bytes);
  writer.releaseLock();
}
