/** The order of keys: by the bytes of their UTF-8 forms, as SQLite compares texts. Pure. */
import { utf8 } from "../../lib/bytes.ts";

const LAST = 0x10ffff;

/** Negative if `a` comes first. */
export function compareKeys(a: string, b: string): number {
  const left = utf8(a);
  const right = utf8(b);
  const shared = Math.min(left.length, right.length);
  for (let i = 0; i < shared; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** The first possible key after this one. */
export function justAfter(key: string): string {
  return `${key}\0`;
}

/** The first possible key after all keys that begin with this prefix; undefined if no key can come after them. */
export function pastPrefix(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  for (;;) {
    const last = points.pop();
    if (last === undefined) return undefined;
    if (last === LAST) continue;
    // Halves of surrogate pairs are no characters.
    const next = last + 1 === 0xd800 ? 0xe000 : last + 1;
    return String.fromCodePoint(...points, next);
  }
}

/** The last in order; the first of equal ones. */
export function lastOf(first: string, ...others: string[]): string {
  return others.reduce((last, each) => (compareKeys(each, last) > 0 ? each : last), first);
}
