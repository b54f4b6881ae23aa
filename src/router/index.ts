/**
 * The path of a request: host → Worker → active deployment → override, key or random → version → source → response.
 * Everything a request needs was compiled before it came, unless it is the first one: nothing is awaited before the
 * version has the request, and the request is passed on as it came.
 */
import { Hono } from "hono";
import type { VersionSource } from "../versions/sources/index.ts";
import { decideFor } from "./choose.ts";
import { dispatch } from "./dispatch.ts";
import { hostOf } from "./hosts.ts";
import { OneRoute } from "./one-route.ts";
import { Snapshot } from "./snapshot.ts";
import type { Split } from "./split.ts";

export { moduleSource } from "../versions/sources/module.ts";

export interface RouterOptions {
  /** The KV namespace with the active deployments. */
  readonly deployments: KVNamespace;
  readonly source: VersionSource;
  /** The Worker that a host (lower-case, with its port) belongs to; undefined for none. */
  readonly workerOf: (host: string) => string | undefined;
  /** Header with the client's address, set by something that clients cannot bypass. Default: none. */
  readonly addressHeader?: string;
  /** Age in ms at which a deployment is read again, behind a request. Default: `LIMITS.snapshotRefreshMs`. */
  readonly refreshMs?: number;
}

interface Router extends RouterOptions {
  readonly snapshot: Snapshot;
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
    const split = router.snapshot.get(host, ctx);
    return split === undefined
      ? serveFirst(router, host, request, c.env, ctx)
      : serve(router, split, host, request, c.env, ctx);
  });
  return app;
}

function open(options: RouterOptions): Router {
  const { deployments, workerOf, refreshMs } = options;
  return { ...options, snapshot: new Snapshot(deployments, workerOf, refreshMs) };
}

function serve(
  router: Router,
  split: Split,
  host: string,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> | Response {
  if (!split.record.enabled) return notFound(host);
  const decision = decideFor(split, request, router.addressHeader ?? "");
  return dispatch(router.source, split, decision, request, env, ctx);
}

async function serveFirst(
  router: Router,
  host: string,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> {
  const found = await router.snapshot.load(host);
  if (found === "absent") return notFound(host);
  if (found === "unavailable") {
    return new Response("The active deployment cannot be read at the moment.\n", {
      status: 503,
      headers: { "Retry-After": "1" },
    });
  }
  return serve(router, found, host, request, env, ctx);
}

function notFound(host: string): Response {
  return new Response(`There is no Worker at ${host}.\n`, {
    status: 404,
    headers: { "Content-Type": "text/plain; charset=utf-8" },
  });
}
