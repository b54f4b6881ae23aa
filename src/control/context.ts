/** What every resource gets: the request, who sends it, and the record of the Worker that it names. */
import type { Context } from "hono";
import type { z } from "zod";
import type { Env } from "../env.ts";
import type { SluiceError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { err, ok, type Result } from "../result.ts";
import type { Actor, WorkerOverview, WorkerRegistry } from "../versions/registry.ts";
import type { Author } from "../versions/types.ts";
import { parseJson } from "./schemas.ts";
import { readCapped } from "./upload.ts";

export type ControlContext = Context<{ Bindings: Env; Variables: { author: Author } }>;

/** The Worker named in the path; `/:worker` has been checked by then. */
export function workerName(c: ControlContext): string {
  return c.req.param("worker") ?? "";
}

export function registryOf(c: ControlContext): DurableObjectStub<WorkerRegistry> {
  const { REGISTRY } = c.env;
  return REGISTRY.get(REGISTRY.idFromName(workerName(c)));
}

/** Everything of the Worker as of one moment, or that there is none. */
export async function overviewOf(c: ControlContext): Promise<Result<WorkerOverview, SluiceError>> {
  const overview = (await registryOf(c).overview()) as WorkerOverview | undefined;
  return overview === undefined ? err({ reason: "worker-not-found", worker: workerName(c) }) : ok(overview);
}

export function actorOf(c: ControlContext): Actor {
  const userAgent = c.req.header("User-Agent") ?? "";
  return { author: c.var.author, source: userAgent.startsWith("wrangler/") ? "wrangler" : "api" };
}

/** The JSON body, whatever its content type says: wrangler sends some as text/plain. */
export async function readBody<T>(c: ControlContext, schema: z.ZodType<T>): Promise<Result<T, SluiceError>> {
  const body = await readCapped(c.req.raw, LIMITS.maxUploadBytes);
  if (body === undefined) return err({ reason: "body-too-large", limitBytes: LIMITS.maxUploadBytes });
  return parseJson(new TextDecoder().decode(body), schema);
}

/** What the storage refuses, as an answer to the client. */
export async function attempt<T>(action: () => Promise<T>): Promise<Result<T, SluiceError>> {
  try {
    return { ok: true, value: await action() };
  } catch (error) {
    return { ok: false, error: { reason: "storage-refused", detail: (error as Error).message } };
  }
}
