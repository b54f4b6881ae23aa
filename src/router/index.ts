/**
 * The path of a request: host → Worker → active deployment → decision → version → source → response.
 * Everything a request needs was compiled before it came, unless it is the first one: nothing is awaited before the
 * version has the request, and the request is passed on as it came.
 */
import { type Context, Hono } from "hono";
import { LIMITS } from "../lib/limits.ts";
import type { DeploymentRecord, PreviewRecord } from "../versions/record.ts";
import { Addresses } from "./addresses.ts";
import { decide, type Given } from "./decide.ts";
import { decorate } from "./decorate.ts";
import { dispatch } from "./dispatch.ts";
import { givenBy } from "./given.ts";
import { hostOf } from "./hosts.ts";
import { OneRoute } from "./one-route.ts";
import type { MeterPort, ObserverPort, Sighting, VersionSource } from "./ports.ts";
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
  /** Watches the requests of rollouts. Default: nobody. */
  readonly observer?: ObserverPort;
  /** Counts requests. Default: nobody. */
  readonly meter?: MeterPort;
  /** What is served of a deployment. Default: all of it. */
  readonly served?: (record: DeploymentRecord) => DeploymentRecord;
  /** Whether that namespace has routes, custom domains and previews as well. Default: no. */
  readonly hasAddresses?: boolean;
}

interface Router extends RouterOptions {
  readonly snapshot: Snapshot;
  readonly addresses: Addresses | undefined;
  readonly given: Given;
  /** Decisions for single versions, by their ids: each is counted as one. */
  readonly previews: Map<string, Decision>;
}

type Answer = Promise<Response> | Response;

/** A Hono app that serves every path of every host. `options` is called once per isolate, with the first request. */
export function createRouter<Env extends object>(options: (env: Env) => RouterOptions) {
  let router: Router | undefined;

  // Neither the path nor the method matters here, so Hono need not look at them.
  const app = new Hono<{ Bindings: Env }>({ router: new OneRoute(), getPath: () => "/" });
  app.all("*", (c) => {
    router ??= open(options(c.env));
    const host = hostOf(c.req.raw.url);
    const split = router.snapshot.get(host, c.executionCtx) ?? routed(router, host, c);
    return split === undefined ? serveFirst(router, host, c) : serve(router, split, host, c);
  });
  return app;
}

function open(options: RouterOptions): Router {
  const { deployments, addressHeader = "", hasAddresses = false } = options;
  const { refreshMs = LIMITS.snapshot.snapshotRefreshMs } = options;
  const snapshot: Snapshot = new Snapshot(deployments, refreshMs, {
    alsoRefresh: async () => void (await addresses?.refresh()),
    onUnreadable: (worker) => options.meter?.noteStale(worker),
    served: options.served,
  });
  const addresses = hasAddresses
    ? new Addresses(deployments, refreshMs, () => snapshot.forgetHosts())
    : undefined;
  return { ...options, snapshot, addresses, given: givenBy(addressHeader, true), previews: new Map() };
}

/** The split of a host whose paths belong to several Workers. */
function routed({ addresses, snapshot }: Router, host: string, c: Context): Split | undefined {
  const worker = addresses?.workerAt(host, c.req.raw.url);
  return worker === undefined ? undefined : snapshot.of(worker, c.executionCtx);
}

function serve(router: Router, split: Split, host: string, c: Context): Answer {
  const request = c.req.raw;
  // The setting switches off the Worker's own host, not the hosts that a route gives it.
  if (!split.record.enabled && router.addresses?.workerAt(host, request.url) === undefined)
    return notFound(host);
  const decision = decide(split, request, router.given);
  if (!split.decorates) return dispatch(router, split, decision, c);
  const sighting = sight(router, split, decision, c);
  const { source, meter } = router;
  const response = dispatch(
    sighting === undefined ? router : { source, meter, sighting },
    split,
    decision,
    c,
  );
  const finish = (answer: Response): Response => decorate(split, request, decision, answer);
  return response instanceof Promise ? response.then(finish) : finish(response);
}

/** Tells the observer of a request that a rollout counts. */
function sight(
  { observer, given }: Router,
  split: Split,
  decision: Decision,
  c: Context,
): Sighting | undefined {
  const { rollout } = split.record;
  const { observed } = decision;
  if (observer === undefined || rollout === undefined || observed === undefined) return undefined;
  const { headers, method } = c.req.raw;
  const key = decision.identity ?? readKey(headers, split.affinity, given.addressHeader);
  const address = readAddress(headers, given.addressHeader);
  return observer.begin({ rollout, decision, observed, method, key, address }, c.executionCtx);
}

/** For a host that this isolate has not served yet, or not for a while. */
async function serveFirst(router: Router, host: string, c: Context): Promise<Response> {
  const { addresses, snapshot } = router;
  const isKnown = (await addresses?.refresh()) !== false;
  const { epoch } = snapshot;
  const name = router.workerOf(host.toLowerCase());
  // A Worker's own host can be served without the routes. Any other host may be a route's.
  if (name === undefined && !isKnown) return unavailable("The routes");
  const routedTo = addresses?.workerAt(host, c.req.raw.url);
  const worker = routedTo ?? name;
  if (worker === undefined) return notFound(host);
  const isWhole = isKnown && (addresses?.isWholeHost(host) ?? true);
  const found = await snapshot.load(worker, isWhole ? host : undefined, epoch);
  if (found === "absent") {
    const label = routedTo === undefined ? name : undefined;
    return label === undefined ? notFound(host) : servePreview(router, label, host, c);
  }
  if (found === "unavailable") return unavailable("The active deployment");
  return serve(router, found, host, c);
}

/** @param label that is no Worker's name, but may be a version's hostname */
async function servePreview(router: Router, label: string, host: string, c: Context): Promise<Response> {
  const { addresses, snapshot } = router;
  const preview = await addresses?.preview(label);
  const split = preview && (await snapshot.load(preview.worker));
  if (preview === undefined || typeof split !== "object" || !split.record.previews) return notFound(host);
  const mustBeStable = split.record.stable_only === true;
  if (mustBeStable && preview.version_id !== split.candidate.version.version_id) return notStable();
  return dispatch(router, split, previewDecision(router.previews, preview), c);
}

function notStable(): Response {
  return new Response("This server is in safe mode: it runs stable versions only, and this is not one.\n", {
    status: 503,
    headers: { "Content-Type": "text/plain; charset=utf-8" },
  });
}

function previewDecision(known: Map<string, Decision>, { worker, version_id }: PreviewRecord): Decision {
  const found = known.get(version_id);
  if (found !== undefined) return found;
  if (known.size >= LIMITS.snapshot.maxPreviewed) known.clear();
  const decision = previewOf(worker, version_id);
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
