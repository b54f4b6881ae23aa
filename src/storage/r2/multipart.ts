/** Which parts make an object, and its etag. Pure. */
import { md5 } from "@noble/hashes/legacy.js";
import { concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import { toHex } from "../../lib/bytes.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { R2_LIMITS } from "./limits.ts";

export interface UploadedPart {
  readonly number: number;
  /** In bytes. */
  readonly size: number;
  /** Hex. It is also the part's etag. */
  readonly md5: string;
}

interface SelectedPart {
  readonly part: number;
  readonly etag: string;
}

type PartsError = "internal" | "invalidPart" | "entityTooSmall" | "badUpload";

/** The parts in their order. All but the last have the same size, which is at least 5 MiB and at least that of the last. */
export function selectParts<Part extends UploadedPart>(
  uploaded: readonly Part[],
  selected: readonly SelectedPart[],
): Result<Part[], PartsError> {
  if (new Set(selected.map(({ part }) => part)).size < selected.length) return err("internal");
  const byNumber = new Map(uploaded.map((part) => [part.number, part]));
  const parts: Part[] = [];
  for (const { part: number, etag } of selected) {
    const part = byNumber.get(number);
    if (part?.md5 !== etag) return err("invalidPart");
    parts.push(part);
  }
  // In the order of the request: R2 looks at the sizes before it sorts.
  if (parts.slice(0, -1).some(({ size }) => size < R2_LIMITS.partBytesMin)) return err("entityTooSmall");
  parts.sort((a, b) => a.number - b.number);
  const size = parts.length > 1 ? parts[0]?.size : undefined;
  if (size === undefined) return ok(parts);
  const fits = parts.every((part, i) => (i < parts.length - 1 ? part.size === size : part.size <= size));
  return fits && size >= R2_LIMITS.partBytesMin ? ok(parts) : err("badUpload");
}

/** The digest of the parts' digests, and how many there are. */
export function multipartEtag(parts: readonly UploadedPart[]): string {
  return `${toHex(md5(concatBytes(...parts.map((part) => hexToBytes(part.md5)))))}-${parts.length}`;
}
