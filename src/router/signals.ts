/**
 * What a request says about the version that it wants. Nothing here throws: a client's header can never break its
 * request.
 */
import { parseDictionary } from "structured-headers";

export const OVERRIDES_HEADER = "cloudflare-workers-version-overrides";
export const KEY_HEADER = "cloudflare-workers-version-key";

/**
 * The version id that the overrides header names for this Worker. The header is an RFC 9651 dictionary whose values
 * must be strings, `worker="version-id"`; a header that does not parse, or another type of value, counts as absent.
 */
export function readOverride(headers: Headers, worker: string): string | undefined {
  const header = headers.get(OVERRIDES_HEADER);
  if (header === null) return undefined;
  try {
    const value = parseDictionary(header).get(worker)?.[0];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The request key: the key header, else the client address where a trusted header carries it. An empty value is no key.
 *
 * @param addressHeader header that the platform or the operator's own proxy sets, never the client; empty for none
 */
export function readKey(headers: Headers, addressHeader: string): string | undefined {
  const key = headers.get(KEY_HEADER);
  if (key !== null && key !== "") return key;
  if (addressHeader === "") return undefined;
  return headers.get(addressHeader) || undefined;
}
