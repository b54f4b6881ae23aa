/**
 * Custom domains and routes: which Worker an address belongs to. Compiled when they change, looked up per request. Pure.
 * Patterns are Cloudflare's (https://developers.cloudflare.com/workers/configuration/routing/routes/).
 */
import { err, ok, type Result } from "../lib/result.ts";
import type { RoutesRecord } from "../versions/record.ts";

/** A pattern in its parts. */
interface Pattern {
  /** Hostname without the wildcard that it may begin with. */
  readonly host: string;
  /** Whether anything may come before the host. */
  readonly anyPrefix: boolean;
  /** Path, with its query, without the wildcard that it may end with. */
  readonly path: string;
  /** Whether anything may come after the path. */
  readonly anySuffix: boolean;
}

interface Rule extends Pattern {
  readonly worker: string;
}

/** The rules of hosts, the most specific first. */
export interface CompiledRoutes {
  readonly revision: number;
  /** Of hosts that are named in full, their own and those of wildcards that match them. */
  readonly exact: ReadonlyMap<string, readonly Rule[]>;
  readonly wildcards: readonly Rule[];
}

export const NO_ROUTES: CompiledRoutes = { revision: 0, exact: new Map(), wildcards: [] };

const HOST = /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** @returns what is wrong with the pattern, for a sentence that begins with it */
export function parsePattern(pattern: string): Result<Pattern, string> {
  const bare = pattern.replace(/^https?:\/\//, "");
  const slash = bare.indexOf("/");
  const authority = (slash === -1 ? bare : bare.slice(0, slash)).toLowerCase();
  const rest = slash === -1 ? "/" : bare.slice(slash);
  const anyPrefix = authority.startsWith("*");
  const host = anyPrefix ? authority.slice(1) : authority;
  const anySuffix = rest.endsWith("*");
  const path = anySuffix ? rest.slice(0, -1) : rest;
  if (host.includes("*") || path.includes("*")) {
    return err("has a * in its middle; it may begin its hostname and end its path");
  }
  if (path.includes("?")) return err("has a query; leave it out, and end the path with *");
  if (!HOST.test(host.replace(/^\./, ""))) return err("does not begin with a hostname");
  return ok({ host, anyPrefix, path, anySuffix });
}

/** Whether a text is a hostname that can be a custom domain. */
export function isHostname(text: string): boolean {
  return HOST.test(text) && text.length <= 253;
}

/** Patterns that do not parse are left out. */
export function compileRoutes({ revision, domains, routes }: RoutesRecord): CompiledRoutes {
  const rules = routes.flatMap(({ pattern, worker }): Rule[] => {
    const parsed = parsePattern(pattern);
    return parsed.ok ? [{ ...parsed.value, worker }] : [];
  });
  // A custom domain is what is left when no route matches.
  const all = Object.entries(domains).map(
    ([host, worker]): Rule => ({ host, anyPrefix: false, path: "/", anySuffix: true, worker }),
  );
  rules.sort(bySpecificity);
  const wildcards = rules.filter(({ anyPrefix }) => anyPrefix);
  const named = new Set([...rules.filter(({ anyPrefix }) => !anyPrefix), ...all].map(({ host }) => host));
  const exact = new Map<string, readonly Rule[]>();
  for (const host of named) {
    const ofHost = (rule: Rule) => (rule.anyPrefix ? host.endsWith(rule.host) : rule.host === host);
    exact.set(host, [...rules.filter(ofHost), ...all.filter(ofHost)]);
  }
  return { revision, exact, wildcards };
}

function bySpecificity(x: Rule, y: Rule): number {
  return (
    Number(x.anyPrefix) - Number(y.anyPrefix) ||
    y.host.length - x.host.length ||
    Number(x.anySuffix) - Number(y.anySuffix) ||
    y.path.length - x.path.length
  );
}

/** @param host lower-case, without a port @param path with its query */
export function workerAt(routes: CompiledRoutes, host: string, path: string): string | undefined {
  return rulesFor(routes, host).find((rule) => matches(rule, path))?.worker;
}

/** Whether every path of a host leads to the same place. */
export function isWholeHost(routes: CompiledRoutes, host: string): boolean {
  const [first] = rulesFor(routes, host);
  return first === undefined || (first.anySuffix && first.path === "/");
}

function rulesFor({ exact, wildcards }: CompiledRoutes, host: string): readonly Rule[] {
  return exact.get(host) ?? wildcards.filter((rule) => host.endsWith(rule.host));
}

function matches({ path, anySuffix }: Pattern, asked: string): boolean {
  return anySuffix ? asked.startsWith(path) : asked === path;
}
