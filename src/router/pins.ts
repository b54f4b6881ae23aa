/**
 * `?dpl=<version id>`: a page asks for what belongs to it from the version that made it, whatever the deployment is by now.
 * Build tools add the parameter to the addresses of files and data (Next.js and others, for "skew protection").
 */
import type { Decision, Split } from "./split.ts";

const PARAMETER = /[?&]dpl=([0-9a-f-]{36})(?:&|#|$)/;

/**
 * The version that a request is pinned to; undefined where it names none, or one that is not retained any more: then the
 * deployment decides.
 *
 * @param now in ms since the epoch
 */
export function pinOf({ pins }: Split, url: string, now: () => number): Decision | undefined {
  // Most requests have none, and a search for four characters is cheaper than one with a pattern.
  if (pins === undefined || !url.includes("dpl=")) return undefined;
  const pin = pins.get(PARAMETER.exec(url)?.[1] ?? "");
  if (pin === undefined || (pin.until !== null && pin.until <= now())) return undefined;
  return pin.decision;
}
