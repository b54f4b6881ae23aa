/**
 * What a request says about the version that it wants. Nothing here throws: a client's header can never break its
 * request.
 */
import { parse } from "hono/utils/cookie";
import { parseDictionary, serializeDictionary } from "structured-headers";
import type { Affinity, AffinitySource, Cohort } from "../versions/types.ts";

/** The part of a request that decides its version. */
export interface RequestData {
  readonly url: string;
  readonly headers: Pick<Headers, "get">;
}

export const OVERRIDES_HEADER = "cloudflare-workers-version-overrides";
export const KEY_HEADER = "cloudflare-workers-version-key";

/** Response header with which a version says how its answer turned out. Clients do not get it. */
export const OUTCOME_HEADER = "Sluice-Outcome";

/**
 * The version id that the overrides header names for this Worker. The header is an RFC 9651 dictionary whose values
 * must be strings, `worker="version-id"`; a header that does not parse, or another type of value, counts as absent.
 */
export function readOverride(headers: Pick<Headers, "get">, worker: string): string | undefined {
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
 * The request key: the key header, else the first of the Worker's sources that the request has; by default, the client
 * address where a trusted header carries it. An empty value is no key.
 *
 * @param addressHeader header that the platform or the operator's own proxy sets, never the client; empty for none
 */
export function readKey(
  headers: Pick<Headers, "get">,
  affinity: Affinity | undefined,
  addressHeader: string,
): string | undefined {
  const key = headers.get(KEY_HEADER);
  if (key !== null && key !== "") return key;
  if (affinity === undefined) return readAddress(headers, addressHeader);
  for (const source of affinity) {
    const found = readSource(headers, source, addressHeader);
    if (found !== undefined) return found;
  }
  return undefined;
}

function readSource(
  headers: Pick<Headers, "get">,
  source: AffinitySource,
  addressHeader: string,
): string | undefined {
  switch (source.type) {
    case "header":
      return headers.get(source.name) || undefined;
    case "address":
      return readAddress(headers, addressHeader);
    default: {
      const cookies = headers.get("Cookie");
      return (cookies && parse(cookies, source.name)[source.name]) || undefined;
    }
  }
}

/** Whether a request has the cohort's header or cookie, with its value. */
export function isInCohort(headers: Pick<Headers, "get">, { type, name, value }: Cohort): boolean {
  return readSource(headers, { type, name }, "") === value;
}

/** The client's address; undefined where no trusted header carries it. */
export function readAddress(headers: Pick<Headers, "get">, addressHeader: string): string | undefined {
  return addressHeader === "" ? undefined : headers.get(addressHeader) || undefined;
}

/** A request that carries these signals and nothing else. @param override version id */
export function requestWith(
  worker: string,
  { key, override }: { key?: string; override?: string },
): RequestData {
  const overrides = override === undefined ? null : serializeDictionary({ [worker]: override });
  const values = new Map([
    [KEY_HEADER, key ?? null],
    [OVERRIDES_HEADER, overrides],
  ]);
  return { url: "", headers: { get: (name) => values.get(name) ?? null } };
}
