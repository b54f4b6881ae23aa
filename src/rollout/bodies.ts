/** Watches the body of an answer on its way to the client: whether it breaks off or stalls. Streams, and keeps every byte. */

/** The first buffer, which most answers fit in, and the largest. A large one costs a small answer more than its bytes. */
const FIRST_BYTES = 4 * 1024;
const MOST_BYTES = 64 * 1024;

export interface WatchedBody {
  readonly body: ReadableStream;
  /** Resolves when the body has ended, in whatever way. */
  readonly done: Promise<void>;
}

/**
 * Passes a body on.
 *
 * @param stallMs time without a byte from the version that counts as a failure; a client that does not read is none.
 * Undefined for a body that may pause as long as it likes
 * @param failed called when the version breaks the body off, or stalls; perhaps more than once
 */
export function watchBody(
  source: ReadableStream,
  stallMs: number | undefined,
  failed: () => void,
): WatchedBody {
  const length = lengthOf(source);
  const { readable, writable } =
    length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  return { body: readable, done: pass(source, writable, stallMs, failed) };
}

async function pass(
  source: ReadableStream,
  writable: WritableStream,
  stallMs: number | undefined,
  failed: () => void,
): Promise<void> {
  const reader = source.getReader({ mode: "byob" });
  const writer = writable.getWriter();
  let hasGone = false;
  // The client. The runtime notices that with the next byte for it.
  const goes = (why: unknown): void => {
    hasGone = true;
    reader.cancel(why).catch(() => {});
  };
  writer.closed.catch(goes);
  for (let buffer = new ArrayBuffer(FIRST_BYTES); ; ) {
    const timer = stallMs === undefined ? null : setTimeout(failed, stallMs);
    let part: ReadableStreamReadResult<Uint8Array>;
    try {
      part = await reader.read(new Uint8Array(buffer));
    } catch (error) {
      if (!hasGone) failed();
      await writer.abort(error).catch(() => {});
      return;
    } finally {
      clearTimeout(timer);
    }
    try {
      if (part.done) return await writer.close();
      const { byteLength, buffer: used } = part.value;
      const size = used.byteLength;
      await writer.write(part.value);
      const isFull = byteLength === size && size < MOST_BYTES;
      buffer = isFull ? new ArrayBuffer(size * 4) : (used as ArrayBuffer);
    } catch (error) {
      return goes(error);
    }
  }
}

/** The runtime's own name for the length of a stream, which it shows to those who debug. */
const LENGTH = Object.getOwnPropertySymbols(ReadableStream.prototype).find(
  ({ description }) => description === "length",
);

/**
 * Number of bytes of a body, where the runtime knows it: then clients get a Content-Length. The header says nothing, since
 * a version can write anything there.
 */
function lengthOf(body: ReadableStream): bigint | undefined {
  const length = LENGTH && (body as unknown as Record<symbol, unknown>)[LENGTH];
  return typeof length === "bigint" ? length : undefined;
}
