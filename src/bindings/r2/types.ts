/** What a version's client and its bucket's channel send each other. */

/** What an object can be made of in a call between isolates. */
export type R2Content = string | ArrayBuffer | ArrayBufferView | ReadableStream | null;

/** An object's metadata. Size in bytes. */
export interface R2Meta {
  readonly key: string;
  readonly version: string;
  readonly size: number;
  readonly etag: string;
  readonly httpEtag: string;
  readonly uploaded: Date;
  readonly checksums: Readonly<Partial<Record<"md5" | "sha1" | "sha256" | "sha384" | "sha512", ArrayBuffer>>>;
  readonly httpMetadata: R2HttpMetadata | undefined;
  readonly customMetadata: Readonly<Record<string, string>> | undefined;
  readonly range:
    | { readonly offset?: number; readonly length?: number; readonly suffix?: number }
    | undefined;
  readonly storageClass: string;
}

interface R2HttpMetadata {
  readonly contentType?: string;
  readonly contentLanguage?: string;
  readonly contentDisposition?: string;
  readonly contentEncoding?: string;
  readonly cacheControl?: string;
  readonly cacheExpiry?: Date;
}
