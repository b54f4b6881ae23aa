/** Which process runs which version, where a server has several kinds of them. Pure. */
import type { Share } from "./types.ts";

/**
 * What a process is for. `control` has the registry, the API and storage, and never runs a version's code. `traffic` has
 * the router and the stable versions, `canary` the candidates and the previews, `objects` the Durable Objects of
 * versions, their databases, and the consumers of queues and crons.
 */
export type Lane = "control" | "traffic" | "canary" | "objects";

/**
 * The version of a deployment that runs apart from all stable versions: the candidate, until the other version has no
 * share left. Undefined where there is none.
 */
export function apartOf(shares: readonly Share[]): string | undefined {
  const [candidate, stable] = [...shares].sort((x, y) => y.number - x.number);
  return stable !== undefined && stable.percentage > 0 ? candidate?.version_id : undefined;
}

/** The versions of a deployment that a process keeps loaded. @param lane undefined where one process does everything */
export function versionsIn(lane: Lane | undefined, shares: readonly Share[]): string[] {
  const apart = apartOf(shares);
  const ids = shares.map(({ version_id }) => version_id);
  if (lane === "traffic") return ids.filter((id) => id !== apart);
  if (lane === "canary") return ids.filter((id) => id === apart);
  return ids;
}
