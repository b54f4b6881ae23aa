/** What the bucket's index and its service tell each other. */

export const ALGORITHMS = ["md5", "sha1", "sha256", "sha384", "sha512"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** Digests by algorithm, in hex. */
export type Checksums = Readonly<Partial<Record<Algorithm, string>>>;

export interface HttpFields {
  readonly contentType?: string | undefined;
  readonly contentLanguage?: string | undefined;
  readonly contentDisposition?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly cacheControl?: string | undefined;
  /** In ms since the epoch. */
  readonly cacheExpiry?: number | undefined;
}

/** What an uploader says about an object. */
export interface Described {
  readonly key: string;
  readonly http: HttpFields;
  readonly custom: Readonly<Record<string, string>>;
  readonly storageClass: string;
}

/** An object without its content. */
export interface StoredObject extends Described {
  /** Also names its content. */
  readonly version: string;
  /** In bytes. */
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  /** In ms since the epoch. */
  readonly uploaded: number;
  readonly checksums: Checksums;
}

/** A run of bytes. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

/** A run of a content's bytes as it is stored: in a file, or in the index. */
export type Chunk =
  | { readonly size: number; readonly file: string }
  | { readonly size: number; readonly bytes: ArrayBuffer };

/** The part of a chunk that a read needs. */
export type Slice = { readonly chunk: Chunk } & Range;

/** What a get returns, and where its bytes are. */
export interface Found {
  /** The object and the range as the binding reads them, in JSON. */
  readonly head: string;
  /** Whose slices these are. */
  readonly content: string;
  readonly slices: readonly Slice[];
}
