/**
 * Parses `_headers` and `_redirects` of a folder of assets into the form that the asset server takes. Pure.
 * Format and limits: https://developers.cloudflare.com/workers/static-assets/headers/ and …/redirects/.
 */
import { err, ok, type Result } from "../lib/result.ts";

const MAX_LINE = 2_000;
const MAX_HEADER_RULES = 100;
const MAX_STATIC_REDIRECTS = 2_000;
const MAX_DYNAMIC_REDIRECTS = 100;
const STATUSES: ReadonlySet<number> = new Set([200, 301, 302, 303, 307, 308]);
const DYNAMIC = /\*|:[A-Za-z]\w*/;

interface HeaderRule {
  readonly set?: Readonly<Record<string, string>>;
  readonly unset?: readonly string[];
}

export interface HeaderRules {
  readonly version: 2;
  readonly rules: Readonly<Record<string, HeaderRule>>;
}

interface Redirect {
  readonly status: number;
  readonly to: string;
}

export interface RedirectRules {
  readonly version: 1;
  /** With `lineNumber`: if a static and a dynamic rule match, the earlier one counts. */
  readonly staticRules: Readonly<Record<string, Redirect & { readonly lineNumber: number }>>;
  readonly rules: Readonly<Record<string, Redirect>>;
}

interface Line {
  readonly number: number;
  readonly text: string;
}

/** The lines that are neither empty nor comments. The error names the first line that is too long. */
function linesOf(file: string): Result<readonly Line[], string> {
  const lines = file
    .split("\n")
    .map((text, i) => ({ number: i + 1, text: text.trim() }))
    .filter(({ text }) => text !== "" && !text.startsWith("#"));
  const long = lines.find(({ text }) => text.length > MAX_LINE);
  return long === undefined ? ok(lines) : err(`line ${long.number} has more than ${MAX_LINE} characters`);
}

/** Normalizes a path, or a URL with https (whose host may have placeholders), for the server to compare. */
function normalize(target: string, keepSearch: boolean): string | undefined {
  const [, host = "", path = ""] = /^https:\/\/+([^/]+)(.*)$/.exec(target) ?? [];
  if (host === "" && !target.startsWith("/")) return undefined;
  const url = URL.parse(`https://assets.invalid${host === "" ? target : path}`);
  if (url === null) return undefined;
  const normal = url.pathname + (keepSearch ? url.search + url.hash : "");
  return host === "" ? normal : `https://${host}${normal}`;
}

/** @returns the rules, or what is wrong with the file, for a sentence that begins with its name */
export function parseHeaders(file: string): Result<HeaderRules, string> {
  const lines = linesOf(file);
  if (!lines.ok) return lines;
  const rules = new Map<string, { set: Record<string, string>; unset: string[] }>();
  let path: string | undefined;
  for (const { number, text } of lines.value) {
    const wrong = (why: string) => err(`line ${number} ("${text.slice(0, 100)}") ${why}`);
    if (/^(?:\S+:\/\/|\/)/.test(text)) {
      path = normalize(text, false);
      if (path === undefined) return wrong("is neither a path nor a URL with https");
      if (path.split("*").length > 2) return wrong("has more than one *; use a placeholder like :name");
      if (!rules.has(path)) rules.set(path, { set: {}, unset: [] });
      if (rules.size > MAX_HEADER_RULES)
        return wrong(`is rule ${rules.size}; ${MAX_HEADER_RULES} are allowed`);
      continue;
    }
    const rule = path === undefined ? undefined : rules.get(path);
    if (rule === undefined) return wrong("comes before any path; put the path that it is for first");
    const colon = text.indexOf(":");
    if (colon === -1 && text.startsWith("!")) {
      rule.unset.push(text.slice(1).trim());
      continue;
    }
    const name = text.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    const value = text.slice(colon + 1).trim();
    if (!isHeaderName(name) || value === "") return wrong("is not a header; write `Name: value` or `! Name`");
    const before = rule.set[name];
    rule.set[name] = before === undefined ? value : `${before}, ${value}`;
  }
  return ok({
    version: 2,
    rules: Object.fromEntries(
      [...rules].map(([rulePath, { set, unset }]) => [
        rulePath,
        {
          ...(Object.keys(set).length === 0 ? {} : { set }),
          ...(unset.length === 0 ? {} : { unset }),
        },
      ]),
    ),
  });
}

function isHeaderName(name: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(name);
}

/** @returns the rules, or what is wrong with the file, for a sentence that begins with its name */
export function parseRedirects(file: string, htmlHandling: string): Result<RedirectRules, string> {
  const lines = linesOf(file);
  if (!lines.ok) return lines;
  const staticRules: Record<string, Redirect & { readonly lineNumber: number }> = {};
  const rules: Record<string, Redirect> = {};
  let dynamicSeen = false;
  for (const { number, text } of lines.value) {
    const wrong = (why: string) => err(`line ${number} ("${text.slice(0, 100)}") ${why}`);
    const [source = "", target = "", code = "302", ...rest] = text.replace(/\s+#.*$/, "").split(/\s+/);
    if (target === "" || rest.length > 0) return wrong("must be a path, a target and at most a status");
    const from = source.startsWith("/") ? normalize(source, false) : undefined;
    if (from === undefined) return wrong("must begin with a path");
    const to = normalize(target, true);
    if (to === undefined) return wrong("must redirect to a path or a URL with https");
    const status = Number(code);
    if (!STATUSES.has(status)) return wrong(`has the status ${code}; use one of ${[...STATUSES].join(", ")}`);
    if (status === 200 && !to.startsWith("/"))
      return wrong("proxies (200) to another host; only a path can be proxied");
    if (loops(from, to, htmlHandling))
      return wrong("redirects to itself, since /index and .html are removed from paths");
    if (from in staticRules || from in rules) return wrong("repeats a path; the first one counts");
    dynamicSeen ||= DYNAMIC.test(from);
    if (dynamicSeen) rules[from] = { status, to };
    else staticRules[from] = { status, to, lineNumber: number };
    if (Object.keys(staticRules).length > MAX_STATIC_REDIRECTS) {
      return wrong(`is static rule ${MAX_STATIC_REDIRECTS + 1}; ${MAX_STATIC_REDIRECTS} are allowed`);
    }
    if (Object.keys(rules).length > MAX_DYNAMIC_REDIRECTS) {
      return wrong(
        `is rule ${MAX_DYNAMIC_REDIRECTS + 1} counted from the first rule with a * or a placeholder; ${MAX_DYNAMIC_REDIRECTS} are allowed`,
      );
    }
  }
  return ok({ version: 1, staticRules, rules });
}

function loops(from: string, to: string, htmlHandling: string): boolean {
  if (!/\/index(?:\.html)?$/.test(to) || !to.startsWith("/")) return false;
  return from.endsWith("/*") || (from.endsWith("/") && htmlHandling !== "none");
}
