/** Populations of request keys, and deployments to split them by. Deterministic: the same in every run. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { compileSplit, type Split } from "../../src/router/split.ts";
import type { DeploymentRecord } from "../../src/versions/record.ts";
import type { Share } from "../../src/versions/types.ts";

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

/** A deployment of one version, which has all of the traffic. */
export function splitOfOne(version_id = STABLE, percentage = 100): Split {
  return compileSplit(recordOf([{ version_id, number: 1, percentage }]));
}

const numbered = (n: number, keyOf: (i: number) => string) => Array.from({ length: n }, (_, i) => keyOf(i));

/** The first `n` keys of each kind that Workers are likely to be given. */
export const populations: Readonly<Record<string, (n: number) => string[]>> = {
  "sequential ids": (n) => numbered(n, String),
  "IPv4 addresses": (n) =>
    numbered(n, (i) => `${10 + (i >>> 18)}.${(i >>> 12) & 63}.${(i >>> 6) & 63}.${i & 63}`),
  UUIDs: (n) => {
    const hex = createHash("shake256", { outputLength: n * 16 })
      .update("users")
      .digest("hex");
    const uuids = hex.replace(/(.{8})(.{4}).(.{3}).(.{3})(.{12})/g, "$1-$2-4$3-a$4-$5");
    return numbered(n, (i) => uuids.slice(i * 36, (i + 1) * 36));
  },
  "e-mails": (n) => numbered(n, (i) => `user.${i}@example-${i % 97}.com`),
};

const unitUpTo = (min: number, max: number) =>
  fc.integer({ min, max }).map((code) => String.fromCharCode(code));
const anyUnit = fc.oneof(unitUpTo(0, 0x7f), unitUpTo(0xd800, 0xdfff), unitUpTo(0, 0xffff));

/** Any sequence of UTF-16 units: ASCII, surrogates in pairs and alone, and the rest. */
export const anyString = () => fc.string({ unit: anyUnit, maxLength: 60, size: "max" });

/** A text over and over, cut at any length: long, and yet a failure is soon narrowed down. */
export const long = (text: fc.Arbitrary<string>, maxLength: number) =>
  fc.tuple(text, fc.nat(maxLength)).map(([part, length]) => "".padEnd(length, part));

/** A percentage with at most three decimals. */
export const percentage = fc.integer({ min: 0, max: 100_000 }).map((thousandths) => thousandths / 1000);
