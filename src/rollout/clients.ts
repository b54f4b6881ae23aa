/**
 * The clients that have been counted, so that each counts once in a rollout: retries of one failure, and clients that fail for
 * ever, would otherwise pass for many. Bounded: what does not fit is sampled by hash, which favours neither version.
 */

/** Number of values of a hash. */
const HASHES = 2 ** 32;

export class ClientSet {
  readonly #capacity: number;
  readonly #seen: Set<number>;
  /** Only hashes below it are counted; halved whenever the set is full. */
  #limit: number;

  /** @param seen hashes of a set that was kept @param limit of that set */
  constructor(capacity: number, seen: Iterable<number> = [], limit = HASHES) {
    this.#capacity = capacity;
    this.#seen = new Set(seen);
    this.#limit = limit;
  }

  /** Whether a client counts: it is new, and in the sample. It is known from now on. @param hash 32 bits, of the client's key */
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

  /** To be kept. */
  dump(): { readonly hashes: Uint32Array<ArrayBuffer>; readonly limit: number } {
    return { hashes: Uint32Array.from(this.#seen), limit: this.#limit };
  }
}
