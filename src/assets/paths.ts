/** Paths of URLs. Pure. */
import { pathOf } from "../router/hosts.ts";

/** The path of a request's URL, as it was written: cheaper than parsing the URL. */
export function pathnameOf(url: string): string {
  const path = pathOf(url);
  const end = path.search(/[?#]/);
  return end === -1 ? path : path.slice(0, end);
}

/** A path without percent encoding; one that cannot be decoded as it is. */
export function decode(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}
