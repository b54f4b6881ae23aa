/** Which clients change version when one split replaces another. Pure; also runs in the browser. */

/** One version's share of a split. The version with the higher number is the candidate. */
export interface Part {
  readonly version_id: string;
  readonly number: number;
  /** 0 to 100. */
  readonly percentage: number;
}

interface Move {
  readonly from: string;
  readonly to: string;
  /** Percentage of all clients with a request key, 0 to 100. */
  readonly percentage: number;
}

/** A version's range in the hash space. The candidate's starts at 0 (src/router/split.ts). */
interface Interval {
  readonly version_id: string;
  readonly from: number;
  readonly to: number;
}

/**
 * Which share of the clients moves from which version to which, largest first. While the candidate stays the same, a
 * client with a key keeps its place in the hash space. With another candidate, the two splits are independent. A request
 * without a key is drawn anew each time, so it is not counted as a client.
 */
export function movesBetween(before: readonly Part[], after: readonly Part[]): Move[] {
  const moves = new Map<string, Move>();
  const add = (from: string, to: string, percentage: number) => {
    if (from === to || percentage < 1e-9) return;
    const known = moves.get(`${from} ${to}`)?.percentage ?? 0;
    moves.set(`${from} ${to}`, { from, to, percentage: known + percentage });
  };
  const isSameSpace = isSame(candidateOf(before), candidateOf(after));
  for (const old of intervalsOf(before)) {
    for (const next of intervalsOf(after)) {
      const overlap = isSameSpace
        ? Math.max(Math.min(old.to, next.to) - Math.max(old.from, next.from), 0)
        : ((old.to - old.from) * (next.to - next.from)) / 100;
      add(old.version_id, next.version_id, overlap);
    }
  }
  return [...moves.values()].sort((x, y) => y.percentage - x.percentage);
}

function candidateOf(parts: readonly Part[]): Part | undefined {
  return parts.reduce<Part | undefined>(
    (newest, part) => (newest && newest.number > part.number ? newest : part),
    undefined,
  );
}

function isSame(a: Part | undefined, b: Part | undefined): boolean {
  return a?.version_id === b?.version_id;
}

function intervalsOf(parts: readonly Part[]): Interval[] {
  const candidate = candidateOf(parts);
  const stable = parts.find((part) => part !== candidate);
  if (candidate === undefined) return [];
  const threshold = stable === undefined ? 100 : candidate.percentage;
  return [
    { version_id: candidate.version_id, from: 0, to: threshold },
    ...(stable === undefined ? [] : [{ version_id: stable.version_id, from: threshold, to: 100 }]),
  ];
}

/** One sentence for each move. @param nameOf a version's name in a sentence */
export function describeMoves(moves: readonly Move[], nameOf: (version: string) => string): string[] {
  if (moves.length === 0) return ["No client changes version."];
  return moves.map(
    ({ from, to, percentage }) =>
      `${Number(percentage.toFixed(3))}% of the clients move from ${nameOf(from)} to ${nameOf(to)}.`,
  );
}
