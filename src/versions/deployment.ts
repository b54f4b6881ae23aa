/** Rules about deployments: valid shares, what to list, when a split ends. Pure. */
import type { SluiceError } from "../lib/errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Binding } from "./binding-types.ts";
import type { Deployment, Share, Version } from "./types.ts";

/** Maximum number of versions in a deployment. */
const MAX_SHARES = 2;
/** Allowed distance of the sum from 100: wrangler rounds each percentage to three decimals. */
const SUM_TOLERANCE = 0.001;
/** Absorbs the rounding errors of binary fractions. */
const FLOAT_SLACK = 1e-9;

/** A share as an operator gives it. */
export interface ShareInput {
  readonly version_id: string;
  readonly percentage: number;
}

/** Checks the percentages, and that the versions are distinct. Reports the first problem. */
export function checkShares(inputs: readonly ShareInput[]): Result<readonly ShareInput[], SluiceError> {
  const refuse = (detail: string) => err({ reason: "deployment-invalid", detail } as const);
  if (inputs.length === 0) return refuse("a deployment needs at least one version");
  if (inputs.length > MAX_SHARES) {
    return refuse(`a deployment takes one or two versions, not ${inputs.length}`);
  }
  let sum = 0;
  const rounded: ShareInput[] = [];
  for (const { version_id, percentage } of inputs) {
    if (!Number.isFinite(percentage)) return refuse(`the percentage of ${version_id} is not a number`);
    if (percentage < 0 || percentage > 100) {
      return refuse(`the percentage of ${version_id} is ${percentage}; it must be between 0 and 100`);
    }
    const thousandths = Math.round(percentage * 1000);
    if (Math.abs(percentage * 1000 - thousandths) > 1e-6) {
      return refuse(
        `the percentage of ${version_id} is ${percentage}; use at most three decimals, so round it to ${thousandths / 1000}`,
      );
    }
    sum += percentage;
    rounded.push({ version_id, percentage: thousandths / 1000 });
  }
  if (new Set(inputs.map((input) => input.version_id)).size !== inputs.length) {
    return refuse(`version ${inputs[0]?.version_id} is listed twice; list each version once`);
  }
  if (Math.abs(sum - 100) > SUM_TOLERANCE + FLOAT_SLACK) {
    return refuse(`the percentages add up to ${Number(sum.toFixed(6))}; they must add up to 100`);
  }
  return ok(rounded);
}

/**
 * The deployments to list: the newest `limit`. Where none of those before the active one has a version at 100%, the
 * newest older one that does is added: wrangler's `rollback` looks for it, and a long ramp would otherwise hide it.
 *
 * @param newestFirst every deployment of the Worker
 */
export function listDeployments(newestFirst: readonly Deployment[], limit: number): readonly Deployment[] {
  const listed = newestFirst.slice(0, limit);
  const isStable = (deployment: Deployment) => deployment.versions.some((share) => share.percentage === 100);
  if (listed.slice(1).some(isStable)) return listed;
  const older = newestFirst.slice(limit).find(isStable);
  return older === undefined ? listed : [...listed, older];
}

/** Whether the latest version serves alone, as editing a secret in place requires. */
export function latestServesAlone(latest: Version, active: Deployment | undefined): boolean {
  return active?.versions.length === 1 && active.versions[0]?.version_id === latest.id;
}

/** Whether a deployment replaces a split by one version newer than both, as `wrangler deploy` does. */
export function endsSplit(active: Deployment, next: readonly Share[]): boolean {
  const [only] = next;
  if (active.versions.length !== 2 || next.length !== 1 || only === undefined) return false;
  return active.versions.every(({ number }) => number < only.number);
}

/** Names of the secrets that differ between two versions, including those that only one of them has. */
export function changedSecrets(before: readonly Binding[], after: readonly Binding[]): string[] {
  const [old, current] = [before, after].map(
    (bindings) =>
      new Map(bindings.flatMap((each) => (each.type === "secret_text" ? [[each.name, each.text]] : []))),
  ) as [Map<string, string>, Map<string, string>];
  return [...new Set([...old.keys(), ...current.keys()])].filter(
    (name) => old.get(name) !== current.get(name),
  );
}
