/**
 * A version as one KV value: `SLV1`, the header's length (32 bits, little-endian), the header as JSON, then the bytes
 * of each module in the header's order. Binary, so that wasm and data modules are stored as they are.
 */

import { utf8 } from "../lib/bytes.ts";
import type { Binding } from "./binding-types.ts";
import type { AssetsOfVersion, Module } from "./types.ts";

/** Everything but the bytes of the modules. */
export interface BlobHeader {
  readonly worker: string;
  readonly version: string;
  readonly created_on: string;
  readonly tag: string | null;
  readonly main_module: string;
  readonly compatibility_date: string;
  readonly compatibility_flags: readonly string[];
  readonly bindings: readonly Binding[];
  /** Whether the main module has a default export. False until the upload has been inspected. */
  readonly has_default: boolean;
  /** Whether the default export handles batches of queues. */
  readonly takes_batches?: boolean;
  /** Whether the default export handles cron triggers. */
  readonly takes_crons?: boolean;
  /** Namespace ids by name of the main module's Durable Object classes. */
  readonly classes?: Readonly<Record<string, string>>;
  readonly assets?: AssetsOfVersion;
}

export interface VersionBlob {
  readonly header: BlobHeader;
  readonly modules: readonly Module[];
}

interface StoredHeader extends BlobHeader {
  readonly modules: readonly {
    readonly name: string;
    readonly type: Module["type"];
    readonly size: number;
  }[];
}

const MAGIC = utf8("SLV1");
const PREFIX_BYTES = MAGIC.length + 4;

export function encodeBlob({ header, modules }: VersionBlob): Uint8Array<ArrayBuffer> {
  const stored: StoredHeader = {
    ...header,
    modules: modules.map(({ name, type, bytes }) => ({ name, type, size: bytes.byteLength })),
  };
  const json = utf8(JSON.stringify(stored));
  const size = modules.reduce((sum, module) => sum + module.bytes.byteLength, PREFIX_BYTES + json.length);
  const out = new Uint8Array(size);
  out.set(MAGIC);
  new DataView(out.buffer).setUint32(MAGIC.length, json.length, true);
  out.set(json, PREFIX_BYTES);
  let at = PREFIX_BYTES + json.length;
  for (const { bytes } of modules) {
    out.set(bytes, at);
    at += bytes.byteLength;
  }
  return out;
}

/** The modules are views of `buffer`. Throws an error that says what is wrong where the value is not a whole version. */
export function decodeBlob(buffer: ArrayBuffer): VersionBlob {
  const all = new Uint8Array(buffer);
  if (all.length < PREFIX_BYTES || !MAGIC.every((byte, i) => all[i] === byte)) {
    throw new Error("the stored value does not start like a version");
  }
  const headerEnd = PREFIX_BYTES + new DataView(buffer).getUint32(MAGIC.length, true);
  if (headerEnd > all.length) throw new Error("the stored version is cut off in its header");
  const { modules: table, ...header } = JSON.parse(
    new TextDecoder().decode(all.subarray(PREFIX_BYTES, headerEnd)),
  ) as StoredHeader;
  let at = headerEnd;
  const modules = table.map(({ name, type, size }) => {
    const bytes = all.subarray(at, at + size);
    at += size;
    return { name, type, bytes };
  });
  if (at !== all.length) throw new Error(`the stored version has ${all.length} bytes instead of ${at}`);
  return { header, modules };
}
