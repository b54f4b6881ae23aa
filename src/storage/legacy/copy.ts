/** Copies page by page, a few at a time, and goes on after a failure. */

export type Copied = "copied" | "skipped";

export interface Outcome {
  copied: number;
  /** Expired, or copied by an earlier run. */
  skipped: number;
  /** What could not be copied, and why. */
  readonly failures: string[];
}

/** Values of up to 25 MiB are in memory while they are copied. */
const AT_ONCE = 4;
const PAGE = 200;

export async function copyAll<Item extends { readonly key: string }>(
  readAfter: (after: string | null, limit: number) => Promise<readonly Item[]>,
  copy: (item: Item) => Promise<Copied>,
): Promise<Outcome> {
  const outcome: Outcome = { copied: 0, skipped: 0, failures: [] };
  let after: string | null = null;
  for (;;) {
    const page: readonly Item[] = await readAfter(after, PAGE);
    const left = page.values();
    const worker = async () => {
      for (const item of left) {
        try {
          outcome[await copy(item)] += 1;
        } catch (error) {
          outcome.failures.push(`${item.key}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return outcome;
    after = last.key;
  }
}

/** KV refuses an expiration that is less than a minute away: what would end sooner ends a little later. */
export const KV_LEAST_SECONDS = 60;

/** The expiration with which an entry is put, in seconds since the epoch; "expired" if its time has come. */
export function expirationOf(expiration: number | null, now: number): number | undefined | "expired" {
  if (expiration === null) return undefined;
  if (expiration <= now) return "expired";
  // Five seconds for the put itself.
  return Math.max(Math.floor(expiration / 1000), Math.ceil(now / 1000) + KV_LEAST_SECONDS + 5);
}
