/** Which paths name content: a file that is called by a hash of what is in it, so that its name never means another. Pure. */

/** Folders in which build tools keep nothing but such files: Next.js, SvelteKit, and whoever follows the latter. */
const HASHED_FOLDERS = /\/(?:_next\/static|immutable)\//;
/** Pages are not called by their content, whatever their names look like. */
const FILE = /\/([^/]+)\.(?!html?$)[a-z][a-z0-9]{0,9}$/i;
/** What separates a hash from the rest of the name; hashes of some tools contain the latter two themselves. */
const PARTS = /[.~@_-]/;
const HEX = /^(?=.*\d)[0-9a-f]{8,64}$/i;
/** Letters and digits as no word has them: a digit among letters, or a capital after a small one. */
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
