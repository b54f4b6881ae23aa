/** Ids: making them and showing them. */

/** A random id of 32 hexadecimal digits, in the form of Cloudflare's ids of resources. */
export function newId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

/** The first eight characters of an id: what hostnames and pages show of a version's. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}
