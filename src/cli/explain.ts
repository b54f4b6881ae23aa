/** `sluice explain`: which version a request gets, and why. */
import { call, type Target } from "./api.ts";

interface Explanation {
  readonly worker: string;
  readonly version_id: string;
  readonly version_number: number;
  readonly reason: string;
  readonly key: string | null;
  readonly hash: number | null;
  readonly seed: string;
  readonly boundary: number;
  readonly candidate_version_id: string;
  readonly versions: readonly {
    readonly version_id: string;
    readonly number: number;
    readonly percentage: number;
  }[];
}

export async function explain(
  target: Target,
  worker: string,
  asked: { readonly key?: string; readonly override?: string; readonly json?: boolean },
): Promise<string> {
  const query = new URLSearchParams();
  if (asked.key !== undefined) query.set("key", asked.key);
  if (asked.override !== undefined) query.set("override", asked.override);
  const path = `/workers/scripts/${encodeURIComponent(worker)}/explain?${query}`;
  const explanation = await call<Explanation>(target, "GET", path);
  return asked.json ? JSON.stringify(explanation, null, 2) : toText(explanation);
}

const REASONS: Readonly<Record<string, string>> = {
  override: "the override names a version in the active deployment",
  key: "the key's hash decides",
  single: "one version has all traffic",
  random: "no override applies and there is no key, so each request is drawn at random",
};

function toText(found: Explanation): string {
  const { candidate_version_id: candidate, hash, boundary } = found;
  const versions = found.versions.map(({ version_id, number, percentage }) => {
    const role = found.versions.length === 1 ? "only" : version_id === candidate ? "candidate" : "stable";
    return `            ${version_id}  #${number}  ${percentage}%  ${role}`;
  });
  return [
    `Worker      ${found.worker}`,
    ...(found.key === null ? [] : [`Key         ${JSON.stringify(found.key)}`]),
    `Version     ${found.version_id}  (#${found.version_number})`,
    `Reason      ${found.reason}: ${REASONS[found.reason] ?? ""}`,
    ...(hash === null
      ? []
      : [
          `Hash        ${hash}  = XXH32("${found.seed}" + key)`,
          `Boundary    ${boundary}  ${hash < boundary ? "the hash is below it: candidate" : "the hash is not below it: stable"}`,
        ]),
    "Deployment",
    ...versions,
  ].join("\n");
}
