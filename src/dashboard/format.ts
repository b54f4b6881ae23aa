/** Figures and times as pages show them. Pure; also runs in the browser. */
import { MIB } from "../lib/bytes.ts";
import { shortId } from "../lib/ids.ts";

export const NONE = "–";

export function percent(value: number | null, digits = 1): string {
  return value === null ? NONE : `${Number(value.toFixed(digits))}%`;
}

/** @param rate 0 to 1 */
export function ratePercent(rate: number | null): string {
  return rate === null ? NONE : `${(rate * 100).toFixed(2)}%`;
}

export function milliseconds(ms: number | null): string {
  if (ms === null) return NONE;
  return ms >= 1_000 ? `${(ms / 1_000).toFixed(2)} s` : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** `1 version`, `1,000 versions`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** A time in ISO 8601, cut to the second for tables. */
export function moment(iso: string | null): string {
  return iso === null ? NONE : `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
}

export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  if (size < MIB) return `${(size / 1024).toFixed(1)} KiB`;
  return size < 1024 * MIB ? `${(size / MIB).toFixed(1)} MiB` : `${(size / MIB / 1024).toFixed(1)} GiB`;
}

/** A split in words, in the given order: `90% #1, 10% #2`. */
export function splitText(
  versions: readonly { readonly version_id: string; readonly percentage: number; readonly number?: number }[],
): string {
  return versions
    .map(
      ({ version_id, number, percentage }) =>
        `${Number(percentage.toFixed(3))}% ${number === undefined ? shortId(version_id) : `#${number}`}`,
    )
    .join(", ");
}
