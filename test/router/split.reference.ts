/** The split as docs/architecture.md words it, without any of the care for speed. What the compiled one must equal. */
import xxhash from "xxhash-wasm";
import type { Share } from "../../src/versions/types.ts";

const { h32 } = await xxhash();

export function referencePick(shares: readonly Share[], key: string): string {
  const byNumber = [...shares].sort((x, y) => x.number - y.number);
  const candidate = byNumber.at(-1) as Share;
  const stable = byNumber.length === 2 ? (byNumber[0] as Share) : candidate;
  if (candidate.percentage === 0) return stable.version_id;
  if (stable.percentage === 0) return candidate.version_id;
  const hash = h32(candidate.version_id + key);
  return hash < Math.round((candidate.percentage / 100) * 2 ** 32) ? candidate.version_id : stable.version_id;
}
