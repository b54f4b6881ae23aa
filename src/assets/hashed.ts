/** Recognises paths that contain a hash of the file's content, so that a path never means another content. Pure. */

/** Folders in which build tools keep only such files: Next.js, SvelteKit, and tools that follow SvelteKit. */
const HASHED_FOLDERS = /\/(?:_next\/static|immutable)\//;
/** Names of pages contain no hash, even if they look like it. */
const FILE = /\/([^/]+)\.(?!html?$)[a-z][a-z0-9]{0,9}$/i;
/** Separators between a hash and the rest of the name. The hashes of some tools contain the last two. */
const PARTS = /[.~@_-]/;
const HEX = /^(?=.*\d)[0-9a-f]{8,64}$/i;
/** Letters and digits in an order that words do not have: a digit next to a letter, or a capital inside a word. */
const BASE64 = /^(?=.*(?:[a-z]\d|\d[a-z]|[a-z][A-Z]|[A-Z]\d|\d[A-Z]))[\w-]{8,64}$/;
/** Vite's and Rollup's hashes have eight characters, any of which may be one of the separators. */
const LAST_EIGHT = /[.-]([\w-]{8})$/;

/** @param pathname of a URL, with its leading slash */
export function isHashed(pathname: string): boolean {
  const name = FILE.exec(pathname)?.[1];
  if (name === undefined) return false;
  if (HASHED_FOLDERS.test(pathname)) return true;
  return [...name.split(PARTS), LAST_EIGHT.exec(name)?.[1] ?? ""].some(
    (part) => HEX.test(part) || BASE64.test(part),
  );
}
