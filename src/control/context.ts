/** What handlers get: the request, who sends it, and the registry of the Worker in its path. */
import type { Context } from "hono";
import type { Role } from "../account/access.ts";
import type { Identity } from "../account/identity.ts";
import { accountOf } from "../account/registry.ts";
import type { Resource } from "../account/types.ts";
import type { Env } from "../lib/env.ts";
import type { ResourceKind, SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Rpc } from "../lib/rpc.ts";
import { registryOf, type WorkerRegistry } from "../registry/index.ts";
import type { Actor, Page, Paged, WorkerOverview } from "../registry/types.ts";
import type { WorkerSummary } from "../versions/record.ts";
import { listWorkers } from "../versions/replica.ts";
import type { Author } from "../versions/types.ts";

/** The bindings as the API has them. */
interface ApiEnv extends Env {
  /** Who is signed in. Only the dashboard sets it, when it calls the API. */
  readonly SLUICE_IDENTITY?: Identity;
}

/** What Hono knows of a request to the API. */
export interface ControlEnv {
  Bindings: ApiEnv;
  Variables: { author: Author; role: Role };
}

/** A request as handlers see it: what guards have set can be read, and nothing set. */
export type ControlContext = Pick<Context<ControlEnv>, "env" | "executionCtx" | "req" | "var">;

/** Name of the Worker in the path, which a guard has checked. */
export function workerName(c: ControlContext): string {
  return c.req.param("worker") ?? "";
}

/** The registry of that Worker. */
export function registryFor(c: ControlContext): Rpc<WorkerRegistry> {
  return registryOf(c.env, workerName(c));
}

/** The resource with this id; refused where there is none. */
export async function findResource(
  c: ControlContext,
  kind: ResourceKind,
  id: string,
): Promise<Result<Resource, SluiceError>> {
  const found = await accountOf(c.env).get(kind, id);
  return found === undefined ? err({ reason: "resource-not-found", kind, id }) : ok(found);
}

/** Everything of the Worker as of one moment; refused where there is no such Worker. */
export async function overviewOf(c: ControlContext): Promise<Result<WorkerOverview, SluiceError>> {
  const overview = await registryFor(c).overview();
  return overview === undefined ? err({ reason: "worker-not-found", worker: workerName(c) }) : ok(overview);
}

/** The page of a list that the query asks for, by `page` (from 1) and `per_page`; undefined where it has neither. */
export function pageOf(c: ControlContext): (Page & { readonly page: number }) | undefined {
  const [page, perPage] = [c.req.query("page"), c.req.query("per_page")];
  if (page === undefined && perPage === undefined) return undefined;
  const whole = (text: string | undefined, fallback: number) =>
    Math.max(Math.trunc(Number(text)) || fallback, 1);
  const limit = Math.min(whole(perPage, LIMITS.lists.pageSize), LIMITS.lists.maxPageSize);
  const number = whole(page, 1);
  return { page: number, limit, offset: (number - 1) * limit };
}

/** What the envelope says about a page. */
export function pageInfo(
  { page, limit }: Page & { readonly page: number },
  { items, total }: Paged<unknown>,
) {
  return { result_info: { page, per_page: limit, count: items.length, total_count: total } };
}

/** All Workers, by name. */
export async function allWorkers(env: Env): Promise<Map<string, WorkerSummary>> {
  const listed = await listWorkers(env.SLUICE_KV);
  const found = new Map<string, WorkerSummary>();
  for (const [worker, summary] of listed) {
    // Releases before summaries published none: the registry has it.
    const known = summary ?? (await registryOf(env, worker).summary());
    if (known !== undefined) found.set(worker, known);
  }
  return found;
}

export function actorOf(c: ControlContext): Actor {
  const userAgent = c.req.header("User-Agent") ?? "";
  const source = userAgent.startsWith("wrangler/")
    ? "wrangler"
    : userAgent.startsWith("sluice/")
      ? "cli"
      : "api";
  return { author: c.var.author, source: c.env.SLUICE_IDENTITY === undefined ? source : "dash" };
}

/** Turns what the storage throws into a refusal. */
export async function attempt<T>(action: () => Promise<T>): Promise<Result<T, SluiceError>> {
  try {
    return { ok: true, value: await action() };
  } catch (error) {
    return { ok: false, error: { reason: "storage-refused", detail: (error as Error).message } };
  }
}
