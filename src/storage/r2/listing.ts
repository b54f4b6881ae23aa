/** One page of a list of keys. Pure: rows come from the function that is passed in. */
import { utf8 } from "../../lib/bytes.ts";
import { justAfter, lastOf, pastPrefix } from "./keys.ts";
import { R2_LIMITS } from "./limits.ts";

export interface ListOptions {
  readonly prefix: string;
  /** Keys that have this text after the prefix are shown as one common prefix, up to and including it. Empty for none. */
  readonly delimiter: string;
  /** Keys up to and including this one are left out. */
  readonly startAfter?: string | undefined;
  /** What `encodeCursor` made. */
  readonly cursor?: string | undefined;
  /** Objects and common prefixes together. */
  readonly limit: number;
}

/** The next rows in order of their keys, from `from` on and before `until`, if that is given. At most `limit` of them. */
export type ReadRows<Row> = (from: string, until: string | undefined, limit: number) => Row[];

interface Listed<Row> {
  readonly rows: Row[];
  readonly prefixes: string[];
  /** Absent if nothing follows. */
  readonly cursor?: string;
}

/** With a delimiter, rows are read in portions of this size: what follows in the same group is skipped by a new read. */
const PORTION = 100;

/** Reads each row of the page once, and of each group at most a portion. */
export function listPage<Row extends { readonly key: string }>(
  options: ListOptions,
  read: ReadRows<Row>,
): Listed<Row> {
  const { prefix, delimiter, limit } = options;
  const until = pastPrefix(prefix);
  const rows: Row[] = [];
  const prefixes: string[] = [];
  let from: string | undefined = firstKey(options);
  while (from !== undefined) {
    const left: number = limit - rows.length - prefixes.length;
    const asked: number = delimiter === "" ? left + 1 : PORTION;
    const portion: Row[] = read(from, until, asked);
    let group: string | undefined;
    for (const row of portion) {
      if (group !== undefined && row.key.startsWith(group)) continue;
      if (rows.length + prefixes.length === limit) {
        return { rows, prefixes, cursor: encodeCursor(from) };
      }
      group = groupOf(row.key, prefix, delimiter);
      if (group === undefined) rows.push(row);
      else prefixes.push(group);
      from = group === undefined ? justAfter(row.key) : pastPrefix(group);
      if (from === undefined) break;
    }
    if (portion.length < asked) break;
  }
  return { rows, prefixes };
}

function firstKey({ prefix, startAfter, cursor }: ListOptions): string {
  return lastOf(
    prefix,
    ...(startAfter === undefined ? [] : [justAfter(startAfter)]),
    ...(cursor === undefined ? [] : [decodeCursor(cursor) ?? ""]),
  );
}

function groupOf(key: string, prefix: string, delimiter: string): string | undefined {
  const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
  return at === -1 ? undefined : key.slice(0, at + delimiter.length);
}

/** @param from the first key that the next page may have */
export function encodeCursor(from: string): string {
  return btoa(String.fromCharCode(...utf8(from)));
}

/** Undefined if this is no cursor. */
export function decodeCursor(cursor: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(cursor), (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The limit of a page; undefined if the request's is none. @param include what the page shows besides the objects */
export function pageLimit(asked: number | undefined, include: readonly number[]): number | undefined {
  const limit = asked ?? R2_LIMITS.keysPerPage;
  if (limit < 1 || limit > R2_LIMITS.keysPerPage) return undefined;
  return include.length > 0 ? Math.min(limit, R2_LIMITS.keysPerPageWithMetadata) : limit;
}
