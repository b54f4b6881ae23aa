/**
 * Safe mode: while it is on, a server runs stable versions only, and no alarms of Durable Objects, no queues and no
 * crons. It changes nothing that is recorded: the next normal start serves the recorded split. Pure.
 */
import { isSafeMode, type SafeModeEnv } from "../lib/safe-mode.ts";
import type { DeploymentRecord } from "./record.ts";
import type { Share } from "./types.ts";

/**
 * The shares of a deployment with all traffic on its stable version. With a rollout, that is the one that is not the
 * candidate, even where the candidate has all traffic already. Otherwise it is the older one of those that have a share.
 *
 * @param shares of which at least one is above 0
 * @param candidate the id of the rollout's candidate, where there is a rollout
 */
export function stableShares(shares: readonly Share[], candidate?: string): Share[] {
  const serving = shares.filter(({ percentage }) => percentage > 0).sort((x, y) => x.number - y.number);
  const others = shares.filter(({ version_id }) => version_id !== candidate);
  const [stable] = others.length === 1 ? others : serving;
  return stable === undefined ? [] : [{ ...stable, percentage: 100 }];
}

/** What routers follow in safe mode. No rollout watches it, since its candidate has no traffic. */
export function stableOnly({ rollout, ...record }: DeploymentRecord): DeploymentRecord {
  return { ...record, versions: stableShares(record.versions, rollout?.candidate), stable_only: true };
}

/** What this server serves of a record. */
export function servedBy(env: SafeModeEnv): (record: DeploymentRecord) => DeploymentRecord {
  return isSafeMode(env) ? stableOnly : (record) => record;
}
