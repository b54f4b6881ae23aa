/**
 * The path of a request: host → Worker → active deployment → override, key or random → version → source → response.
 * Everything a request needs was compiled before it came, unless it is the first one: nothing is awaited before the
 * version has the request, and the request is passed on as it came.
 */
import { Hono } from "hono";
import { LIMITS } from "../lib/limits.ts";
import type { Meter } from "../metrics/meter.ts";
import type { Observer } from "../rollout/observer.ts";
import { Addresses } from "./addresses.ts";
import { decideFor } from "./choose.ts";
import { decorate, issue } from "./decorate.ts";
import { dispatch } from "./dispatch.ts";
import { hostOf } from "./hosts.ts";
import { OneRoute } from "./one-route.ts";
import { pinOf } from "./pins.ts";
import type { VersionSource } from "./ports.ts";
import { readAddress, readKey } from "./signals.ts";
import { Snapshot } from "./snapshot.ts";
import { type Decision, previewOf, type Split } from "./split.ts";

export { moduleSource } from "./modules.ts";

export interface RouterOptions {
  /** The KV namespace with the active deployments. */
  readonly deployments: KVNamespace;
  readonly source: VersionSource;
  /** The Worker that a host (lower-case, with its port) belongs to; undefined for none. */
  readonly workerOf: (host: string) => string | undefined;
  /** Header with the client's address, set by something that clients cannot bypass. Default: none. */
  readonly addressHeader?: string;
  /** Age in ms at which a deployment is read again, behind a request. Default: `LIMITS.snapshot.snapshotRefreshMs`. */
  readonly refreshMs?: number;
  /** Where what is seen of rollouts goes. Default: nowhere. */
  readonly observer?: Observer;
  /** Counts what requests come to. Default: nobody. */
  readonly meter?: Meter;
  /** Whether that namespace has routes, custom domains and previews as well. Default: no. */
  readonly hasAddresses?: boolean;
}

interface Router extends RouterOptions {
  readonly snapshot: Snapshot;
  readonly addresses: Addresses | undefined;
  /** Decisions for single versions, by their ids: each is counted as one. */
  readonly previews: Map<string, Decision>;
}

/** A Hono app that serves every path of every host. `options` is called once per isolate, with the first request. */
export function createRouter<Env extends object>(options: (env: Env) => RouterOptions) {
  let router: Router | undefined;

  // Neither the path nor the method matters here, so Hono need not look at them.
  const app = new Hono<{ Bindings: Env }>({ router: new OneRoute(), getPath: () => "/" });
  app.all("*", (c) => {
    router ??= open(options(c.env));
    const request = c.req.raw;
    const ctx = c.executionCtx as ExecutionContext;
    const host = hostOf(request.url);
    const split = router.snapshot.get(host, ctx) ?? routed(router, host, request, ctx);
    return split === undefined
      ? serveFirst(router, host, request, c.env, ctx)
      : serve(router, split, host, request, c.env, ctx);
  });
  return app;
}

function open(options: RouterOptions): Router {
  const { deployments, refreshMs = LIMITS.snapshot.snapshotRefreshMs, hasAddresses = false } = options;
  const snapshot: Snapshot = new Snapshot(
    deployments,
    refreshMs,
    async () => void (await addresses?.refresh()),
    (worker) => options.meter?.noteStale(worker),
  );
  const addresses = hasAddresses
    ? new Addresses(deployments, refreshMs, () => snapshot.forgetHosts())
    : undefined;
  return { ...options, snapshot, addresses, previews: new Map() };
}

/** The split of a host whose paths lead to several Workers. */
function routed(
  { addresses, snapshot }: Router,
  host: string,
  request: Request,
  ctx: ExecutionContext,
): Split | undefined {
  const worker = addresses?.workerAt(host, request.url);
  return worker === undefined ? undefined : snapshot.of(worker, ctx);
}

function serve(
  router: Router,
  split: Split,
  host: string,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> | Response {
  // What is switched off is the Worker's own host, not those that lead to it by a route.
  if (!split.record.enabled && router.addresses?.workerAt(host, request.url) === undefined)
    return notFound(host);
  if (split.decorates) return serveDecorated(router, split, request, env, ctx);
  const decision =
    pinOf(split, request.url, Date.now) ?? decideFor(split, request, router.addressHeader ?? "");
  return dispatch(router, split, decision, request, env, ctx);
}

async function serveDecorated(
  router: Router,
  split: Split,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> {
  const { addressHeader = "", observer } = router;
  const pin = pinOf(split, request.url, Date.now);
  const issued = pin === undefined ? issue(split, request, addressHeader) : undefined;
  const decision = pin ?? issued?.decision ?? decideFor(split, request, addressHeader);
  const started = Date.now();
  const response = await dispatch(router, split, decision, request, env, ctx);
  if (split.record.rollout !== undefined) {
    const { headers } = request;
    const key = issued?.identity ?? readKey(headers, split.affinity, addressHeader);
    const address = readAddress(headers, addressHeader);
    observer?.observe(split, decision, key, address, response.status, Date.now() - started, ctx);
  }
  return decorate(response, split, decision, issued?.cookie);
}

async function serveFirst(
  router: Router,
  host: string,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> {
  const { addresses, snapshot } = router;
  const isKnown = (await addresses?.refresh()) !== false;
  const { epoch } = snapshot;
  const name = router.workerOf(host.toLowerCase());
  // Whose name the host is can be served without the routes; nobody else can be told apart from nobody.
  if (name === undefined && !isKnown) return unavailable("The routes");
  const routedTo = addresses?.workerAt(host, request.url);
  const worker = routedTo ?? name;
  if (worker === undefined) return notFound(host);
  const isWhole = isKnown && (addresses?.isWholeHost(host) ?? true);
  const found = await snapshot.load(worker, isWhole ? host : undefined, epoch);
  if (found === "absent") {
    return servePreview(router, routedTo === undefined ? name : undefined, host, request, env, ctx);
  }
  if (found === "unavailable") return unavailable("The active deployment");
  return serve(router, found, host, request, env, ctx);
}

/** @param label that is no Worker's name, but may be a version's hostname */
async function servePreview(
  router: Router,
  label: string | undefined,
  host: string,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> {
  const { addresses, snapshot } = router;
  const preview = label === undefined ? undefined : await addresses?.preview(label);
  const split = preview && (await snapshot.load(preview.worker));
  if (preview === undefined || typeof split !== "object" || !split.record.previews) return notFound(host);
  return dispatch(router, split, previewDecision(router.previews, preview.version_id), request, env, ctx);
}

function previewDecision(known: Map<string, Decision>, version_id: string): Decision {
  const found = known.get(version_id);
  if (found !== undefined) return found;
  if (known.size >= LIMITS.snapshot.maxPreviewed) known.clear();
  const decision = previewOf(version_id);
  known.set(version_id, decision);
  return decision;
}

function unavailable(what: string): Response {
  return new Response(`${what} cannot be read at the moment.\n`, {
    status: 503,
    headers: { "Retry-After": "1" },
  });
}

function notFound(host: string): Response {
  return new Response(`There is no Worker at ${host}.\n`, {
    status: 404,
    headers: { "Content-Type": "text/plain; charset=utf-8" },
  });
}
