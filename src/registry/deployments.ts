/** Which versions and deployments the registry accepts, and how it records a deployment. */
import type { SluiceError } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { changedSecrets, endsSplit, type ShareInput } from "../versions/deployment.ts";
import type { Deployment, Share } from "../versions/types.ts";
import type { Database } from "./sql/index.ts";
import type { RecordDeployment, RecordVersion } from "./types.ts";

/** Whether a version can be recorded. @param isProtected whether `wrangler deploy` may not replace a split */
export function checkVersion(
  db: Database,
  worker: string,
  input: RecordVersion,
  isProtected: boolean,
): Result<null, SluiceError> {
  const latest = db.versions.latest();
  const active = db.deployments.active();
  if ((latest?.id ?? null) !== input.basedOn) return err({ reason: "changed-meanwhile", worker });
  if (input.replaces !== null && active?.id !== input.replaces) {
    return err({ reason: "changed-meanwhile", worker });
  }
  if (latest === undefined && input.deploy === null) return err({ reason: "worker-not-found", worker });
  if (input.deploy !== null && active?.versions.length === 2 && isProtected) {
    return err({ reason: "split-protected", worker, versions: active.versions });
  }
  return ok(null);
}

/**
 * The shares of a deployment, with the numbers of their versions, or why the deployment is refused.
 *
 * @param shares checked by `checkShares`
 * @param isProtected whether a newer version may not take all traffic of a split
 */
export function checkDeployment(
  db: Database,
  worker: string,
  { shares, force, replaces }: Pick<RecordDeployment, "shares" | "force" | "replaces">,
  isProtected: boolean,
): Result<Share[], SluiceError> {
  const found = findShares(db, worker, shares);
  const active = db.deployments.active();
  if (found.ok && replaces !== null && active?.id !== replaces) {
    return err({ reason: "changed-meanwhile", worker });
  }
  if (!found.ok || force) return found;
  if (active !== undefined && isProtected && endsSplit(active, found.value)) {
    return err({ reason: "split-protected", worker, versions: active.versions });
  }
  const changed = secretsChangedSince(db, found.value, active);
  return changed.length > 0 ? err({ reason: "secrets-changed", names: changed }) : found;
}

/** Adds the versions' numbers to shares. Refuses a version that is missing or older than the last class migration. */
export function findShares(
  db: Database,
  worker: string,
  shares: readonly ShareInput[],
): Result<Share[], SluiceError> {
  if (db.worker.state() === undefined) return err({ reason: "worker-not-found", worker });
  const found: Share[] = [];
  const kept = db.worker.state()?.settings.quarantine ?? [];
  for (const { version_id, percentage } of shares) {
    const version = db.versions.get(version_id);
    if (version === undefined) return err({ reason: "version-not-found", worker, version: version_id });
    if (version.number < db.worker.lifecycle().since) {
      return err({ reason: "before-migration", worker, version: version_id });
    }
    const inQuarantine = kept.find((each) => each.version_id === version_id);
    if (inQuarantine !== undefined) {
      return err({ reason: "version-quarantined", worker, version: version_id, why: inQuarantine.why });
    }
    found.push({ version_id, number: version.number, percentage });
  }
  return ok(found);
}

/** Names of the secrets whose current values all traffic would lose by going back to an older version. */
function secretsChangedSince(
  db: Database,
  shares: readonly Share[],
  active: Deployment | undefined,
): string[] {
  const newest = Math.max(...(active?.versions ?? []).map(({ number }) => number));
  const [target] = shares;
  if (shares.length !== 1 || target === undefined || target.number >= newest) return [];
  const inUse = active?.versions.find(({ number }) => number === newest);
  if (active?.versions.some(({ version_id }) => version_id === target.version_id)) return [];
  const [before, now] = [target.version_id, inUse?.version_id ?? ""].map((id) => db.versions.get(id));
  return changedSecrets(before?.bindings ?? [], now?.bindings ?? []);
}

/** Makes a deployment the active one. Called in a transaction. @param now in ms since the epoch */
export function insertDeployment(
  db: Database,
  input: Omit<Deployment, "id" | "created_on">,
  now: number,
): Deployment {
  const deployment: Deployment = {
    ...input,
    id: crypto.randomUUID(),
    created_on: db.worker.nextTime(now),
  };
  const { id: deployment_id, author, source, triggered_by, message, versions } = deployment;
  const before = db.deployments.active()?.versions ?? [];
  db.deployments.insert(deployment);
  const detail = { deployment_id, triggered_by, message, before, versions };
  db.audit.add(now, { author, source, action: "deployment", detail });
  db.deployments.setDeployed(
    versions.map(({ version_id }) => version_id),
    Date.parse(deployment.created_on),
  );
  db.worker.bumpRevision();
  return deployment;
}
