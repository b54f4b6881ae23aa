/** The input of the benchmarks: keys and one deployment, the same for every contender. Deterministic. */

export const STABLE = "6f1c2f0e-5d0f-4c7e-9a55-0c2b1f6d7a01";
export const CANDIDATE = "b2a90a44-33b5-4b0e-8a3e-7d1f0c9e5b02";

/** Lengths of request keys: a session id, a UUID, a SHA-256 in hex. */
export const KEY_LENGTHS = [16, 36, 64] as const;

const KEYS_PER_LENGTH = 1024;

/** Distinct ASCII keys of one length. */
export function keysOf(length: number): string[] {
  const next = xorshift32(0x2545f491 ^ length);
  return Array.from({ length: KEYS_PER_LENGTH }, () => {
    let key = "";
    while (key.length < length) key += next().toString(16).padStart(8, "0");
    return key.slice(0, length);
  });
}

/** The same items, shuffled: the processor cannot predict the next one. */
export function shuffled<T>(items: readonly T[]): T[] {
  const next = xorshift32(0x2545f491);
  const order = items.map((item) => ({ item, rank: next() }));
  return order.sort((x, y) => x.rank - y.rank).map(({ item }) => item);
}

function xorshift32(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

export const DEPLOYMENT = {
  schema: 1,
  worker: "bench",
  revision: 1,
  deployment_id: "bench",
  enabled: true,
  versions: [
    { version_id: STABLE, number: 1, percentage: 50 },
    { version_id: CANDIDATE, number: 2, percentage: 50 },
  ],
} as const;

/** Size of a chunk of an upload or download: 1,600 chunks are 100 MB. */
export const CHUNK_BYTES = 62_500;

/** A server-sent event. All of them have the same length. */
export function eventOf(number: number): string {
  return `data: event ${String(number).padStart(8, "0")}\n\n`;
}
