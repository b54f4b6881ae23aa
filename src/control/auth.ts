/** What each role may call. Pure. */
import type { Role } from "../account/access.ts";

/** What Workers keep in their KV namespaces, buckets, databases and datasets. */
const STORED =
  /\/(?:storage\/kv\/namespaces\/[^/]+\/.|r2\/buckets\/[^/]+\/objects|d1\/database\/[^/]+\/.|analytics_engine\/)/;
/** Watching is reading, though a tail is opened with POST. */
const TAILS = /\/workers\/scripts\/[^/]+\/tails(?:\/[^/]+)?$/;
const TOKENS = /\/accounts\/[^/]+\/tokens(?:\/|$)/;

/** Whether a role may send a request. @param path of its URL */
export function mayCall(role: Role, method: string, path: string): boolean {
  if (role === "admin") return true;
  if (TOKENS.test(path)) return false;
  if (role === "deploy") return true;
  return ((method === "GET" || method === "HEAD") && !STORED.test(path)) || TAILS.test(path);
}
