/**
 * The path of a request: host → Worker → active deployment → override, key or random → version → source → response.
 * Everything a request needs was compiled before it came, unless it is the first one.
 */
import { type Context, Hono } from "hono";
import type { VersionSource } from "../versions/sources/index.ts";
import { decide } from "./decide.ts";
import { dispatch } from "./dispatch.ts";
import { readKey, readOverride } from "./signals.ts";
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
}

/** A Hono app that serves every path of every host. `options` is called once per isolate, with the first request. */
export function createRouter<Env extends object>(options: (env: Env) => RouterOptions) {
  let ready: (RouterOptions & { snapshot: Snapshot }) | undefined;

  const app = new Hono<{ Bindings: Env }>();
  app.all("*", (c: Context<{ Bindings: Env }>) => {
    if (ready === undefined) {
      const made = options(c.env);
      ready = { ...made, snapshot: new Snapshot(made.deployments) };
    }
    const { workerOf, snapshot } = ready;
    const host = hostOf(c.req.raw.url);
    const worker = workerOf(host);
    if (worker === undefined) return notFound(host);

    const ctx = c.executionCtx as ExecutionContext;
    const split = snapshot.get(worker, ctx);
    return split === undefined
      ? serveFirst(ready, worker, host, c.req.raw, c.env, ctx)
      : serve(ready, split, host, c.req.raw, c.env, ctx);
  });
  return app;
}

function serve(
  { source, addressHeader }: RouterOptions,
  split: Split,
  host: string,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> | Response {
  if (!split.record.enabled) return notFound(host);
  const override = readOverride(request.headers, split.record.worker);
  const key = readKey(request.headers, addressHeader ?? "");
  const decision = decide(split, override, key, Math.random);
  return dispatch(source, split, decision, request, env, ctx);
}

async function serveFirst(
  router: RouterOptions & { snapshot: Snapshot },
  worker: string,
  host: string,
  request: Request,
  env: unknown,
  ctx: ExecutionContext,
): Promise<Response> {
  const found = await router.snapshot.load(worker);
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

/** The authority of an absolute URL, lower-case: cheaper than parsing it. */
function hostOf(url: string): string {
  const start = url.indexOf("//") + 2;
  let end = start;
  for (; end < url.length; end++) {
    const code = url.charCodeAt(end);
    if (code === 0x2f || code === 0x3f || code === 0x23) break;
  }
  return url.slice(start, end).toLowerCase();
}
