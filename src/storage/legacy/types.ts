/** What the databases of release 0.1 hold: KV and R2 as Miniflare kept them. */
import type { Algorithm, HttpFields } from "../r2/types.ts";

export interface OldEntry {
  readonly key: string;
  /** Name of the file with the value. */
  readonly blob: string;
  /** In ms since the epoch. */
  readonly expiration: number | null;
  /** JSON. */
  readonly metadata: string | null;
}

/** A file with an object's content, or with a part of it. */
export interface OldBlob {
  readonly blob: string;
  /** In bytes. */
  readonly size: number;
  /** Hex. */
  readonly md5: string;
}

export interface OldObject {
  readonly key: string;
  readonly version: string;
  /** In bytes. */
  readonly size: number;
  readonly etag: string;
  /** In ms since the epoch. */
  readonly uploaded: number;
  /** Those that the uploader gave. */
  readonly checksums: Readonly<Partial<Record<Algorithm, string>>>;
  readonly http: HttpFields;
  readonly custom: Readonly<Record<string, string>>;
  readonly blobs: readonly OldBlob[];
}
