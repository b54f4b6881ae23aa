/**
 * The clients that a rollout has counted. Each client counts once: otherwise one client that retries, or that always
 * fails, would look like many. The set is bounded; a full set samples clients by hash, which favours neither version.
 */

/** Number of possible hashes. */
const HASHES = 2 ** 32;

export class ClientSet {
  readonly #capacity: number;
  readonly #seen: Set<number>;
  /** Only hashes below it are counted; halved whenever the set is full. */
  #limit: number;

  /** `seen` and `limit` are what `dump` returned for a stored set. @param capacity clients to keep at most */
  constructor(capacity: number, seen: Iterable<number> = [], limit = HASHES) {
    this.#capacity = capacity;
    this.#seen = new Set(seen);
    this.#limit = limit;
  }

  /** Adds a client. @param hash 32 bits, of the client's key @returns whether it counts: it is new, and in the sample */
  admit(hash: number): boolean {
    if (hash >= this.#limit || this.#seen.has(hash)) return false;
    this.#seen.add(hash);
    while (this.#seen.size > this.#capacity) {
      this.#limit /= 2;
      for (const each of this.#seen) if (each >= this.#limit) this.#seen.delete(each);
    }
    return true;
  }

  get size(): number {
    return this.#seen.size;
  }

  /** What to store. */
  dump(): { readonly hashes: Uint32Array<ArrayBuffer>; readonly limit: number } {
    return { hashes: Uint32Array.from(this.#seen), limit: this.#limit };
  }
}
