/**
 * What a route requires before its handler runs. Each guard answers with the refusal, or hands on what it found:
 * `c.var.overview`, `c.var.resource`, `c.req.valid("json")`. Guards run in the order in which the route names them.
 */
import type { MiddlewareHandler } from "hono";
import type * as z from "zod";
import { type Identity, identify } from "../account/identity.ts";
import { accountOf } from "../account/registry.ts";
import type { Resource } from "../account/types.ts";
import { brokerOf } from "../bindings/queue/broker.ts";
import { utf8 } from "../lib/bytes.ts";
import type { Env } from "../lib/env.ts";
import type { ResourceKind, SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { sha256Hex } from "../lib/secrets.ts";
import type { WorkerOverview } from "../registry/types.ts";
import { WORKER_NAME } from "../router/hosts.ts";
import { mayCall } from "./auth.ts";
import { readCapped } from "./body.ts";
import { type ControlEnv, findResource, overviewOf } from "./context.ts";
import { failure } from "./envelope.ts";
import { parseJson } from "./schemas.ts";

/** What a guard adds to a request's variables. */
type Adds<Variables> = Omit<ControlEnv, "Variables"> & { Variables: ControlEnv["Variables"] & Variables };

/** The sender has a token, or is signed in on the dashboard, and its role allows the call. */
export const sender: MiddlewareHandler<ControlEnv> = async (c, next) => {
  const known = c.env.SLUICE_IDENTITY;
  const identity = known === undefined ? await authenticate(c.req.raw, c.env) : ok(known);
  if (!identity.ok) return failure(identity.error);
  const { author, role } = identity.value;
  if (!mayCall(role, c.req.method, c.req.path)) return failure({ reason: "forbidden", role });
  c.set("author", author);
  c.set("role", role);
  return next();
};

/** Who holds the request's token. The server keeps only the SHA-256 of each token, so that is what is looked up. */
async function authenticate(request: Request, env: Env): Promise<Result<Identity, SluiceError>> {
  const refuse = (detail: string) => err({ reason: "unauthorized", detail } as const);
  const header = request.headers.get("Authorization");
  if (header === null) {
    return request.headers.has("X-Auth-Key")
      ? refuse(
          "API keys are not accepted; unset CLOUDFLARE_API_KEY and use the token that `sluice env` prints.",
        )
      : refuse("send the API token as `Authorization: Bearer …`; `sluice env` prints it.");
  }
  const token = /^Bearer (.+)$/i.exec(header)?.[1];
  if (token === undefined) return refuse("the Authorization header must be `Bearer <token>`.");
  const identity = await identify(env, await sha256Hex(utf8(token)));
  return identity === undefined
    ? refuse("the API token is not valid here; `sluice env` prints the one that is.")
    : ok(identity);
}

/** The account in the path is this server's. */
export const account: MiddlewareHandler<ControlEnv> = async (c, next) => {
  if (c.req.param("account") === c.env.SLUICE_ACCOUNT_ID) return next();
  return failure({ reason: "no-route", method: c.req.method, path: `${c.req.path} (unknown account)` });
};

/** The Worker in the path has a name that a Worker can have. */
export const validName: MiddlewareHandler<ControlEnv> = async (c, next) => {
  const worker = c.req.param("worker") ?? "";
  return WORKER_NAME.test(worker) ? next() : failure({ reason: "worker-name-invalid", worker });
};

/** The Worker in the path exists. Hands on everything of it as of one moment. */
export const worker: MiddlewareHandler<Adds<{ overview: WorkerOverview }>> = async (c, next) => {
  const overview = await overviewOf(c);
  if (!overview.ok) return failure(overview.error);
  c.set("overview", overview.value);
  return next();
};

type HandsOnResource = MiddlewareHandler<Adds<{ resource: Resource }>>;

/** The resource in the path exists. @param parameter of the path, with the resource's id */
export function resource(kind: ResourceKind, parameter: string): HandsOnResource {
  return async (c, next) => {
    const found = await findResource(c, kind, c.req.param(parameter) ?? "");
    if (!found.ok) return failure(found.error);
    c.set("resource", found.value);
    return next();
  };
}

/** The D1 database in the path exists, by its id or else by its name. */
export const database: HandsOnResource = async (c, next) => {
  const id = c.req.param("database") ?? "";
  const registry = accountOf(c.env);
  const found = (await registry.get("d1", id)) ?? (await registry.named("d1", id));
  if (found === undefined) return failure({ reason: "resource-not-found", kind: "d1", id });
  c.set("resource", found);
  return next();
};

/** The queue that `resource` found has no consumer: a queue has one at most. */
export const noConsumer: MiddlewareHandler<Adds<{ resource: Resource }>> = async (c, next) => {
  const { name } = c.var.resource;
  const present = await brokerOf(c.env, name).consumer();
  if (present === undefined) return next();
  return failure({ reason: "consumer-exists", queue: name, worker: present.worker });
};

/** The consumer in the path is that of the queue that `resource` found. */
export const consumer: MiddlewareHandler<Adds<{ resource: Resource }>> = async (c, next) => {
  const { name } = c.var.resource;
  const present = await brokerOf(c.env, name).consumer();
  const id = c.req.param("consumer") ?? "";
  if (present?.id === id) return next();
  return failure({ reason: "consumer-not-found", queue: name, consumer: id });
};

/** This server can tail: on Cloudflare's network nothing tells Sluice of its processes. */
export const tailing: MiddlewareHandler<ControlEnv> = async (c, next) => {
  if (c.env.SLUICE_FOLLOWERS !== undefined) return next();
  return failure({
    reason: "unsupported",
    feature: "wrangler tail on Cloudflare's network",
    advice: "run `wrangler tail` against Cloudflare, with the name that Sluice itself has there",
  });
};

/** The body is JSON of this shape, whatever its content type says: wrangler sends some as text/plain. */
export function json<Schema extends z.ZodType>(
  schema: Schema,
): MiddlewareHandler<ControlEnv, string, { in: { json: z.input<Schema> }; out: { json: z.output<Schema> } }> {
  return async (c, next) => {
    const limitBytes = LIMITS.uploads.maxUploadBytes;
    const body = await readCapped(c.req.raw, limitBytes);
    if (body === undefined) return failure({ reason: "body-too-large", limitBytes });
    const parsed = parseJson(new TextDecoder().decode(body), schema);
    if (!parsed.ok) return failure(parsed.error);
    c.req.addValidatedData("json", parsed.value as object);
    return next();
  };
}
