/** Who gets another version when one split follows another. Pure; runs in the browser too. */

/** One version's part, with its number: the higher one of a split is the candidate. */
export interface Part {
  readonly version_id: string;
  readonly number: number;
  /** 0 to 100. */
  readonly percentage: number;
}

interface Move {
  readonly from: string;
  readonly to: string;
  /** Of all clients with a key, 0 to 100. */
  readonly percentage: number;
}

/** Where parts of the hash space go: the candidate owns its begin (src/router/split.ts). */
interface Interval {
  readonly version_id: string;
  readonly from: number;
  readonly to: number;
}

/**
 * The parts of the clients that move, largest first. A client with a key keeps its place in the hash space as long as the
 * candidate stays the same; with another candidate the two splits are independent. Requests without a key are drawn each time
 * and belong to nobody.
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

/** In a sentence for each move. @param nameOf how a version is called */
export function describeMoves(moves: readonly Move[], nameOf: (version: string) => string): string[] {
  if (moves.length === 0) return ["No client changes version."];
  return moves.map(
    ({ from, to, percentage }) =>
      `${Number(percentage.toFixed(3))}% of the clients move from ${nameOf(from)} to ${nameOf(to)}.`,
  );
}
