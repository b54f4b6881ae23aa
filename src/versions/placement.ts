/** Which process runs which version, where a server has several kinds of them. Pure. */
import type { WatchedRollout } from "./record.ts";
import type { Share } from "./types.ts";

/**
 * What a process is for. `control` has the registry, the API and storage, and never runs a version's code. `traffic` has
 * the router and the stable versions, `canary` the candidates and the previews, `objects` the Durable Objects of
 * versions, their databases, and the consumers of queues and crons.
 */
export type Lane = "control" | "traffic" | "canary" | "objects";

/** Ends the name of an isolate that has a version's code a second time. Version ids have no dot. */
const BASELINE = ".baseline";

/**
 * The name of a rollout's baseline: the stable version's code in a fresh isolate beside the candidate's. A name of an
 * isolate is a version's id otherwise.
 */
export function baselineOf(version: string): string {
  return version + BASELINE;
}

/** Whether an isolate has a version's code a second time, for a comparison with the candidate. */
export function isBaseline(instance: string): boolean {
  return instance.endsWith(BASELINE);
}

/** The id of the version whose code an isolate runs. */
export function versionOf(instance: string): string {
  return isBaseline(instance) ? instance.slice(0, -BASELINE.length) : instance;
}

/**
 * The candidate of a deployment and its stable version; one alone where the deployment has no other.
 *
 * @param shares one or two
 * @param candidate the id of a rollout's candidate, which may be the older version; else the newer version is it
 */
function sidesOf(shares: readonly Share[], candidate?: string): readonly (Share | undefined)[] {
  const [newer, older] = [...shares].sort((x, y) => y.number - x.number);
  return older !== undefined && older.version_id === candidate ? [older, newer] : [newer, older];
}

/**
 * The version of a deployment that runs apart from all stable versions: the candidate, until the other version has no
 * share left. Undefined where there is none.
 *
 * @param candidate the id of the rollout's candidate, where there is a rollout
 */
export function apartOf(shares: readonly Share[], candidate?: string): string | undefined {
  const [apart, stable] = sidesOf(shares, candidate);
  return stable !== undefined && stable.percentage > 0 ? apart?.version_id : undefined;
}

/**
 * The names of the isolates that a process keeps loaded for a deployment. The baseline of a rollout is where its
 * candidate is.
 *
 * @param lane undefined where one process does everything
 * @param rollout the active one
 */
export function instancesIn(
  lane: Lane | undefined,
  shares: readonly Share[],
  rollout?: WatchedRollout,
): string[] {
  const apart = apartOf(shares, rollout?.candidate);
  const ids = shares.map(({ version_id }) => version_id);
  if (lane === "traffic") return ids.filter((id) => id !== apart);
  const own = lane === "canary" ? ids.filter((id) => id === apart) : ids;
  if (lane === "control" || lane === "objects" || apart === undefined || !rollout?.baseline) return own;
  return [...own, ...ids.filter((id) => id !== apart).map(baselineOf)];
}
