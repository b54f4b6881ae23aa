/** Sources of request keys, and cohorts, in the notation of the command line and the dashboard. Pure. */
import { err, ok, type Result } from "../lib/result.ts";
import type { Cohort } from "./types.ts";

export interface SourceInput {
  readonly type: string;
  readonly name?: string;
  /** In seconds. */
  readonly max_age?: number;
}

/** Parses `header:X-User`, `cookie:session`, `issued-cookie`, `issued-cookie:name`, `address`. */
export function parseSource(text: string): Result<SourceInput, string> {
  const [kind = "", ...rest] = text.split(":");
  const name = rest.join(":");
  if ((kind === "header" || kind === "cookie") && name !== "") return ok({ type: kind, name });
  if (kind === "issued-cookie") return ok({ type: "issued_cookie", ...(name === "" ? {} : { name }) });
  if (kind === "address" && name === "") return ok({ type: "address" });
  return err(
    `"${text}" is not a key source: use header:<name>, cookie:<name>, issued-cookie[:<name>] or address.`,
  );
}

export function sourceText({ type, name }: SourceInput): string {
  const kind = type === "issued_cookie" ? "issued-cookie" : type;
  return name === undefined ? kind : `${kind}:${name}`;
}

/** A cohort in the notation that `parseCohort` reads. */
export function cohortText(cohort: Cohort): string {
  return `${sourceText(cohort)}=${cohort.value}`;
}

/** Parses `header:X-Team=edge` or `cookie:staff=1`. @returns the cohort, or a sentence that says what is wrong */
export function parseCohort(text: string): Result<Cohort, string> {
  const [source = "", ...rest] = text.split("=");
  const parsed = parseSource(source.trim());
  const value = rest.join("=").trim();
  const { type, name } = parsed.ok ? parsed.value : {};
  if ((type === "header" || type === "cookie") && name !== undefined && value !== "") {
    return ok({ type, name, value });
  }
  return err(`"${text}" is not a cohort: use header:<name>=<value> or cookie:<name>=<value>.`);
}
