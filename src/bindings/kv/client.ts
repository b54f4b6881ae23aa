/** `KVNamespace` for a version's code: calls go to channel.ts. */
import type { Rpc } from "../../lib/rpc.ts";
import type { KvBinding } from "./channel.ts";

/** Longest key, in UTF-8 bytes (https://developers.cloudflare.com/kv/platform/limits/). */
const MAX_KEY_BYTES = 512;
/** Largest value, in bytes. */
const MAX_VALUE_BYTES = 25 * 1024 * 1024;

type Keys = string | readonly string[];

export class KvNamespace {
  readonly #remote: Rpc<KvBinding>;

  constructor(remote: Rpc<KvBinding>) {
    this.#remote = remote;
  }

  async get(keys: Keys, options?: unknown): Promise<unknown> {
    return this.#remote.get(checkKeys("get", keys), options);
  }

  async getWithMetadata(keys: Keys, options?: unknown): Promise<unknown> {
    return this.#remote.getWithMetadata(checkKeys("getWithMetadata", keys), options);
  }

  async put(key: string, value: unknown, options?: KVNamespacePutOptions): Promise<void> {
    const checked = checkKey("put", key);
    if (value === undefined) throw notOfType("put", 2, "string or Object");
    await this.#remote.put(checked, toValue(value), options);
  }

  async list(options?: KVNamespaceListOptions): Promise<unknown> {
    return this.#remote.list(options);
  }

  async delete(keys: Keys): Promise<void> {
    await this.#remote.delete(checkKeys("delete", keys));
  }
}

function checkKeys(method: string, keys: Keys): string | string[] {
  return Array.isArray(keys) ? keys.map(String) : checkKey(method, keys as string);
}

/** The checks that the runtime makes before it asks KV, with the runtime's messages. */
function checkKey(method: string, key: string): string {
  if (key === undefined) throw notOfType(method, 1, method === "put" ? "string" : "string or Array");
  const text = String(key);
  if (text === "") throw new TypeError("Key name cannot be empty.");
  if (text === "." || text === "..") throw new TypeError(`"${text}" is not allowed as a key name.`);
  const { length } = new TextEncoder().encode(text);
  if (length > MAX_KEY_BYTES) {
    const operation = method === "getWithMetadata" ? "GET" : method.toUpperCase();
    throw new Error(
      `KV ${operation} failed: 414 UTF-8 encoded length of ${length} exceeds key length limit of ${MAX_KEY_BYTES}.`,
    );
  }
  return text;
}

function toValue(value: unknown): string | ArrayBuffer | ArrayBufferView | ReadableStream {
  if (typeof value !== "object" || value === null) {
    const text = String(value);
    if (text.length * 3 > MAX_VALUE_BYTES) checkLength(new TextEncoder().encode(text));
    return text;
  }
  if (value instanceof ReadableStream) return value;
  if (value instanceof ArrayBuffer) return checkLength(value);
  if (ArrayBuffer.isView(value)) {
    // A copy: a view would be sent with its whole buffer.
    const { buffer, byteOffset, byteLength } = value;
    return checkLength(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength).slice());
  }
  throw new TypeError(
    "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.",
  );
}

/** Checked here, because a call between isolates takes little more than KV's limit. */
function checkLength<T extends { readonly byteLength: number }>(bytes: T): T {
  if (bytes.byteLength <= MAX_VALUE_BYTES) return bytes;
  throw new Error(
    `KV PUT failed: 413 Value length of ${bytes.byteLength} exceeds limit of ${MAX_VALUE_BYTES}.`,
  );
}

function notOfType(method: string, parameter: number, type: string): TypeError {
  return new TypeError(
    `Failed to execute '${method}' on 'KvNamespace': parameter ${parameter} is not of type '${type}'.`,
  );
}
