/** What a bucket accepts, and how it keeps contents. */
import { MIB } from "../../lib/bytes.ts";

/** The limits of R2. Those of contents are in bytes. */
export const R2_LIMITS = {
  keyBytes: 1024,
  /** Of custom metadata: names and values together. */
  metadataBytes: 8192,
  /** Of an object that is put in one piece. */
  objectBytes: 5 * 1024 * MIB - 5 * MIB,
  /** Of each part but the last. */
  partBytesMin: 5 * MIB,
  keysPerPage: 1000,
  /** In a page that shows metadata. */
  keysPerPageWithMetadata: 100,
  /** How long an upload in parts may stay unfinished, and how long its id is remembered, in ms. */
  uploadMs: 7 * 24 * 60 * 60 * 1000,
} as const;

export const KEPT = {
  /** A content of at most this many bytes is in the index, a longer one in files. */
  inlineBytes: 64 * 1024,
  /** Bytes in a file, except for the last of a content. */
  chunkBytes: 8 * MIB,
  /**
   * A reserved file that nothing has claimed is deleted this much later, in ms: a put that takes longer fails. Those of a
   * put that failed, or whose process ended, are deleted sooner.
   */
  reservedMs: 24 * 60 * 60 * 1000,
  /** A file that no object names any more is deleted this much later, in ms: a get may be about to open it. */
  graceMs: 60_000,
  /** A read that has not opened a file for this long is given up, in ms. */
  readMs: 10 * 60_000,
  /** How many files an alarm deletes at most, and how many at a time. */
  deletesPerAlarm: 500,
  deletesAtOnce: 8,
} as const;
