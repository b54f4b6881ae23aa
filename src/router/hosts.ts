/** Hostnames and Workers. Pure. */

/** Names that a Worker can have: wrangler's own rule, and short enough for a DNS label. */
export const WORKER_NAME = /^[a-z0-9_][a-z0-9_-]{0,62}$/;

/**
 * A lookup from host to Worker for `<worker>.<domain>`, any port.
 *
 * @param domain e.g. `localhost`
 */
export function workersUnder(domain: string): (host: string) => string | undefined {
  const suffix = `.${domain.toLowerCase()}`;
  return (host) => {
    const colon = host.lastIndexOf(":");
    const end = colon === -1 ? host.length : colon;
    const split = end - suffix.length;
    if (split <= 0 || !host.startsWith(suffix, split)) return undefined;
    const worker = host.slice(0, split);
    return WORKER_NAME.test(worker) ? worker : undefined;
  };
}

/** A host without the port that it may have. */
export function withoutPort(host: string): string {
  const colon = host.lastIndexOf(":");
  return colon === -1 || host.endsWith("]") ? host : host.slice(0, colon);
}

/** What comes after the authority of a request's URL: path and query. */
export function pathOf(url: string): string {
  const start = url.indexOf("/", "https://".length);
  return start === -1 ? "/" : url.slice(start);
}

/** The authority of a request's URL, as it was written: cheaper than parsing it. */
export function hostOf(url: string): string {
  const start = url.charCodeAt(5) === 0x2f ? "http://".length : "https://".length;
  const end = url.indexOf("/", start);
  return end === -1 ? url.slice(start) : url.slice(start, end);
}
