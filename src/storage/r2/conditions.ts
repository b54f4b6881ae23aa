/** Whether a conditional get or put goes ahead. Pure. */

/** An etag without its quotes, or `*`. */
export type EtagCondition =
  | { readonly type: "strong" | "weak"; readonly value: string }
  | { readonly type: "wildcard" };

export interface Condition {
  readonly etagMatches?: readonly EtagCondition[] | undefined;
  readonly etagDoesNotMatch?: readonly EtagCondition[] | undefined;
  /** In ms since the epoch, as is the other one. */
  readonly uploadedBefore?: number | undefined;
  readonly uploadedAfter?: number | undefined;
  /** Compares times by whole seconds, as HTTP dates do. */
  readonly secondsGranularity?: boolean | undefined;
}

interface Current {
  readonly etag: string;
  /** In ms since the epoch. */
  readonly uploaded: number;
}

/**
 * The rules are those of HTTP's preconditions (RFC 9110, section 13.2.2): where an etag is given and decides, the time is
 * not looked at. Without an object, conditions that need one fail, and those that exclude one hold.
 */
export function holds(condition: Condition, current: Current | undefined): boolean {
  const { etagMatches, etagDoesNotMatch, uploadedBefore, uploadedAfter } = condition;
  if (current === undefined) return etagMatches === undefined && uploadedAfter === undefined;
  const time = (ms: number) => (condition.secondsGranularity ? Math.floor(ms / 1000) : ms);
  const uploaded = time(current.uploaded);
  if (etagMatches !== undefined && !matches(etagMatches, current.etag, "strong")) return false;
  if (etagDoesNotMatch !== undefined && matches(etagDoesNotMatch, current.etag, "weak")) return false;
  if (etagDoesNotMatch === undefined && uploadedAfter !== undefined && uploaded <= time(uploadedAfter)) {
    return false;
  }
  return etagMatches !== undefined || uploadedBefore === undefined || uploaded < time(uploadedBefore);
}

/** A strong comparison takes a weak etag for no match (RFC 9110, section 8.8.3.2). */
function matches(conditions: readonly EtagCondition[], etag: string, comparison: "strong" | "weak"): boolean {
  return conditions.some((each) => {
    if (each.type === "wildcard") return true;
    return each.value === etag && (each.type === "strong" || comparison === "weak");
  });
}
