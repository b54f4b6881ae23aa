/** Which bytes of an object a get returns. Pure. */
import { err, ok, type Result } from "../../lib/result.ts";
import type { Chunk, Range, Slice } from "./types.ts";

interface RangeRequest {
  readonly range?:
    | {
        readonly offset?: number | undefined;
        readonly length?: number | undefined;
        readonly suffix?: number | undefined;
      }
    | undefined;
  /** The value of an HTTP `Range`. */
  readonly rangeHeader?: string | undefined;
}

/**
 * The bytes of an object of this size: all of them, unless a range is asked for. Options that cannot be satisfied are an
 * error. A header that cannot, or that asks for several ranges, gets the whole object, as HTTP allows.
 */
export function rangeOf(request: RangeRequest, size: number): Result<Range, "invalidRange"> {
  const whole = { offset: 0, length: size };
  if (request.rangeHeader !== undefined) return ok(fromHeader(request.rangeHeader, size) ?? whole);
  if (request.range === undefined) return ok(whole);
  const { suffix } = request.range;
  if (suffix !== undefined) {
    const length = Math.min(suffix, size);
    return length <= 0 ? err("invalidRange") : ok({ offset: size - length, length });
  }
  const { offset = 0 } = request.range;
  const length = Math.min(request.range.length ?? size, size - offset);
  return offset < 0 || length <= 0 ? err("invalidRange") : ok({ offset, length });
}

function fromHeader(header: string, size: number): Range | undefined {
  const [, first, last] = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header) ?? [];
  if (first === undefined || last === undefined) return undefined;
  if (first === "") {
    const suffix = Number(last);
    return last === "" || suffix === 0 || suffix >= size
      ? undefined
      : { offset: size - suffix, length: suffix };
  }
  const offset = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  return offset >= end ? undefined : { offset, length: end - offset };
}

/** The parts of the chunks that a range needs. @param at offset of the first chunk within the content */
export function slicesOf(chunks: readonly Chunk[], { offset, length }: Range, at: number): Slice[] {
  const end = offset + length;
  const slices: Slice[] = [];
  let start = at;
  for (const chunk of chunks) {
    const from = Math.max(offset, start);
    const until = Math.min(end, start + chunk.size);
    if (from < until) slices.push({ chunk, offset: from - start, length: until - from });
    start += chunk.size;
  }
  return slices;
}
