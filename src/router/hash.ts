/**
 * XXH32 of `seed + key`. Pure; no I/O.
 *
 * xxhash-wasm defines the value. Its string entry copies every key through `TextEncoder`, which in workerd costs
 * more than the hash, so keys of plain ASCII are hashed here, from a state in which the seed has been consumed
 * already; all other keys go to the library. test/router/hash.test.ts holds both to the same value.
 * Algorithm: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md (XXH32, hash seed 0).
 */

import xxhash from "xxhash-wasm";
import { utf8 } from "../lib/bytes.ts";

const { h32 } = await xxhash();

const PRIME_1 = 0x9e3779b1 | 0;
const PRIME_2 = 0x85ebca77 | 0;
const PRIME_3 = 0xc2b2ae3d | 0;
const PRIME_4 = 0x27d4eb2f | 0;
const PRIME_5 = 0x165667b1 | 0;

const STRIPE_BYTES = 16;
/** Longer keys go to the library. */
const MAX_INLINE_KEY = 1024;

/** Bytes that follow the seed's last whole stripe: its tail, then the key. Refilled by every hash, never kept. */
const bytes = new Uint8Array(STRIPE_BYTES + MAX_INLINE_KEY);
const words = new Int32Array(bytes.buffer);

/** A seed with its whole stripes consumed: made when the deployment changes, used by every request. */
export interface Seed {
  readonly text: string;
  /** Accumulators after the whole stripes. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
  /** Bytes consumed into the accumulators: a multiple of 16. */
  readonly consumed: number;
  /** The 0 to 3 whole words left over; undefined where the seed does not end on a word (a version id of 36 characters does). */
  readonly tail: Int32Array | undefined;
}

export function prepareSeed(text: string): Seed {
  const encoded = utf8(text);
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  const consumed = encoded.length - (encoded.length % STRIPE_BYTES);
  let a = (PRIME_1 + PRIME_2) | 0;
  let b = PRIME_2;
  let c = 0;
  let d = -PRIME_1 | 0;
  for (let at = 0; at < consumed; at += STRIPE_BYTES) {
    a = round(a, view.getInt32(at, true));
    b = round(b, view.getInt32(at + 4, true));
    c = round(c, view.getInt32(at + 8, true));
    d = round(d, view.getInt32(at + 12, true));
  }
  const left = encoded.length - consumed;
  const tail =
    left % 4 === 0
      ? Int32Array.from({ length: left / 4 }, (_, i) => view.getInt32(consumed + i * 4, true))
      : undefined;
  return Object.freeze({ text, a, b, c, d, consumed, tail });
}

/** XXH32 of the UTF-8 form of `seed.text + key`, as an unsigned 32-bit integer. */
export function hashKey(seed: Seed, key: string): number {
  const { tail } = seed;
  const length = key.length;
  if (tail === undefined || length > MAX_INLINE_KEY) return h32(seed.text + key);

  let word = 0;
  for (; word < tail.length; word++) words[word] = tail[word] as number;

  let seen = 0;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    const c0 = key.charCodeAt(at);
    const c1 = key.charCodeAt(at + 1);
    const c2 = key.charCodeAt(at + 2);
    const c3 = key.charCodeAt(at + 3);
    seen |= c0 | c1 | c2 | c3;
    words[word++] = c0 | (c1 << 8) | (c2 << 16) | (c3 << 24);
  }
  let end = word * 4;
  for (; at < length; at++) {
    const code = key.charCodeAt(at);
    seen |= code;
    bytes[end++] = code;
  }
  return seen > 0x7f ? h32(seed.text + key) : digest(seed, end);
}

/** Finishes the hash over the first `end` bytes of the scratch buffer. */
function digest(seed: Seed, end: number): number {
  const total = seed.consumed + end;
  let word = 0;
  let hash: number;
  if (total >= STRIPE_BYTES) {
    let { a, b, c, d } = seed;
    const stripesEnd = (end >> 4) << 2;
    while (word < stripesEnd) {
      a = round(a, words[word++] as number);
      b = round(b, words[word++] as number);
      c = round(c, words[word++] as number);
      d = round(d, words[word++] as number);
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0;
  } else {
    hash = PRIME_5;
  }
  hash = (hash + total) | 0;
  const wordsEnd = end >> 2;
  for (; word < wordsEnd; word++) {
    hash = Math.imul(rotate((hash + Math.imul(words[word] as number, PRIME_3)) | 0, 17), PRIME_4);
  }
  for (let at = word << 2; at < end; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at] as number, PRIME_5)) | 0, 11), PRIME_1);
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function round(accumulator: number, lane: number): number {
  return Math.imul(rotate((accumulator + Math.imul(lane, PRIME_2)) | 0, 13), PRIME_1);
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
