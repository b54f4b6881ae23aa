/** What each role may call. Pure. */
import type { Role } from "../account/access.ts";

/** What Workers keep in their KV namespaces, buckets, databases and datasets. */
const STORED =
  /\/(?:storage\/kv\/namespaces\/[^/]+\/.|r2\/buckets\/[^/]+\/objects|d1\/database\/[^/]+\/.|analytics_engine\/)/;
/** Tails only read, though POST opens them and DELETE ends them. */
const TAILS = /\/workers\/scripts\/[^/]+\/tails(?:\/[^/]+)?$/;
/** What the supervisor tells, with the admin token. */
const TOLD = /\/accounts\/[^/]+\/(?:incidents|processes)(?:\/|$)/;
const TOKENS = /\/accounts\/[^/]+\/tokens(?:\/|$)/;

/** Whether a role may send a request. @param path the path of its URL */
export function mayCall(role: Role, method: string, path: string): boolean {
  if (role === "admin") return true;
  if (TOKENS.test(path)) return false;
  const isRead = method === "GET" || method === "HEAD";
  if (TOLD.test(path)) return isRead;
  if (role === "deploy") return true;
  return (isRead && !STORED.test(path)) || TAILS.test(path);
}
