/** From a request to a decision. */
import { decide } from "./decide.ts";
import { readKey, readOverride } from "./signals.ts";
import type { Decision, Split } from "./split.ts";

/** Reads of the request only what can matter to this split. */
export function decideFor(split: Split, request: Request, addressHeader: string): Decision {
  if (split.stable === undefined) return split.candidate.single;
  const { headers } = request;
  const override = readOverride(headers, split.record.worker);
  const key = split.everybody === undefined ? readKey(headers, split.affinity, addressHeader) : undefined;
  return decide(split, override, key, Math.random);
}
