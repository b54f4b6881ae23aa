/** Requests without a key, by the network that they came from: nobody's many requests are everybody's experience. */
import { LIMITS } from "../lib/limits.ts";

/** Counts requests per prefix of addresses, up to `LIMITS.rollouts.observationsPerPrefix` of each. Bounded in memory. */
export class PrefixCap {
  readonly #counts = new Map<string, number>();

  /** @param prefix undefined where the address is not known: then every request counts @returns whether this one counts */
  admit(prefix: string | undefined): boolean {
    if (prefix === undefined) return true;
    const count = this.#counts.get(prefix) ?? 0;
    if (count >= LIMITS.rollouts.observationsPerPrefix) return false;
    if (count === 0 && this.#counts.size >= LIMITS.rollouts.observedClients) return false;
    this.#counts.set(prefix, count + 1);
    return true;
  }

  clear(): void {
    this.#counts.clear();
  }
}

/** The network of an address: /24 of IPv4, /48 of IPv6. */
export function prefixOf(address: string): string {
  const separator = address.includes(":") ? ":" : ".";
  return address.split(separator).slice(0, 3).join(separator);
}
