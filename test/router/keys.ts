/** Populations of request keys, and deployments to split them by. Deterministic: the same in every run. */
import { createHash } from "node:crypto";
import { compileSplit, type Split } from "../../src/router/split.ts";
import type { DeploymentRecord, Share } from "../../src/versions/types.ts";

/** A UUID that depends on the text only. */
export function uuid(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export const STABLE = uuid("stable");
export const CANDIDATE = uuid("candidate");

export function recordOf(versions: readonly Share[]): DeploymentRecord {
  return { schema: 1, worker: "w", revision: 1, deployment_id: "d", enabled: true, versions };
}

/** Candidate and stable; `percentage` is the candidate's. */
export function sharesAt(percentage: number, candidate = CANDIDATE, stable = STABLE): [Share, Share] {
  const rest = Math.round((100 - percentage) * 1000) / 1000;
  return [
    { version_id: candidate, number: 2, percentage },
    { version_id: stable, number: 1, percentage: rest },
  ];
}

export function splitAt(percentage: number, candidate = CANDIDATE): Split {
  return compileSplit(recordOf(sharesAt(percentage, candidate)));
}

export const populations: Readonly<Record<string, (i: number) => string>> = {
  "sequential ids": (i) => String(i),
  "IPv4 addresses": (i) => `${10 + (i >>> 18)}.${(i >>> 12) & 63}.${(i >>> 6) & 63}.${i & 63}`,
  UUIDs: (i) => uuid(String(i)),
  "e-mails": (i) => `user.${i}@example-${i % 97}.com`,
};
