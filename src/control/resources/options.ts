/** Settings of a Worker that Cloudflare does not have: the sources of request keys, and how deployments behave. */

import { codeOf } from "../../versions/held.ts";
import * as z from "zod";
import { LIMITS } from "../../lib/limits.ts";
import type { WorkerOverview } from "../../registry/types.ts";
import type { Affinity, Settings } from "../../versions/types.ts";
import { actorOf, type ControlContext, registryFor, workerName } from "../context.ts";
import { fieldName } from "../schemas.ts";
import { failure, respond, success } from "../envelope.ts";

/** Lifetimes of cookies, in seconds. Browsers keep a cookie for at most 400 days (RFC 6265bis). */
const DEFAULT_MAX_AGE = 365 * 86_400;
const MAX_MAX_AGE = 400 * 86_400;

const affinitySource = z.discriminatedUnion("type", [
  z.object({ type: z.literal("header"), name: fieldName }),
  z.object({ type: z.literal("cookie"), name: fieldName }),
  z.object({
    type: z.literal("issued_cookie"),
    name: fieldName.default("sluice_client"),
    max_age: z.number().int().min(60).max(MAX_MAX_AGE).default(DEFAULT_MAX_AGE),
  }),
  z.object({ type: z.literal("address") }),
]);

export const affinityBody = z.looseObject({
  sources: z
    .array(affinitySource)
    .max(LIMITS.dashboard.maxAffinitySources)
    .refine((sources) => sources.slice(0, -1).every(({ type }) => type !== "issued_cookie"), {
      error:
        "issued_cookie must be the last one: with it every request has a key, so no later source is read",
    })
    .nullable(),
});

export const optionsBody = z.looseObject({
  expose_version: z.boolean().optional(),
  protect: z.boolean().optional(),
  webhooks: z
    .array(
      z.object({
        url: z.url({ protocol: /^https?$/, error: "must be a URL with http or https" }),
        secret: z.string().min(8).nullable().default(null),
        format: z.enum(["json", "slack"]).default("json"),
      }),
    )
    .max(LIMITS.rollouts.maxWebhooks)
    .optional(),
  retention: z
    .object({
      versions: z.number().int().min(0).max(100),
      hours: z
        .number()
        .min(0)
        .max(24 * 365),
    })
    .optional(),
});

/** The default: the client address, where a trusted header carries it. */
const DEFAULT_AFFINITY: Affinity = [{ type: "address" }];

const showAffinity = ({ affinity }: Settings) => ({
  sources: affinity ?? DEFAULT_AFFINITY,
  is_default: affinity === null,
});

const showOptions = ({ expose_version, protect, retention, webhooks }: Settings) => ({
  expose_version,
  protect,
  retention,
  webhooks: webhooks.map(({ url, format, secret }) => ({ url, format, is_signed: secret !== null })),
});

/** GET …/scripts/{worker}/affinity. */
export function getAffinity(overview: WorkerOverview): Response {
  const { worker } = overview;
  return success(showAffinity(worker.settings));
}

/** PUT …/scripts/{worker}/affinity: `{"sources": […]}` in the order to try them, or null for the default. */
export async function putAffinity(c: ControlContext, body: z.output<typeof affinityBody>): Promise<Response> {
  return update(c, { affinity: body.sources }, showAffinity);
}

/** GET …/scripts/{worker}/options. */
export function getOptions(overview: WorkerOverview): Response {
  const { worker } = overview;
  return success(showOptions(worker.settings));
}

/** PATCH …/scripts/{worker}/options: changes the options in the body. */
export async function patchOptions(c: ControlContext, body: z.output<typeof optionsBody>): Promise<Response> {
  const { expose_version, protect, retention, webhooks } = body;
  const change: Partial<Settings> = {
    ...(expose_version === undefined ? {} : { expose_version }),
    ...(protect === undefined ? {} : { protect }),
    ...(retention === undefined ? {} : { retention }),
    ...(webhooks === undefined ? {} : { webhooks }),
  };
  return update(c, change, showOptions);
}

async function update(
  c: ControlContext,
  change: Partial<Settings>,
  show: (settings: Settings) => unknown,
): Promise<Response> {
  const updated = await registryFor(c).updateSettings(actorOf(c), workerName(c), change);
  return respond(updated, show);
}

export const quarantineBody = z.looseObject({ version_id: z.uuid(), why: z.string().min(1).max(1_000) });

/** What of a Worker must not run, because it ended the process that ran it: versions, and events with today's code. */
export function getQuarantine({ worker, active }: WorkerOverview): Response {
  const { quarantine, held, released } = worker.settings;
  const code = active && codeOf({ versions: active.versions, ...(released === null ? {} : { released }) });
  return success({ versions: quarantine, events: held.filter((event) => event.code === code) });
}

/** Keeps a version from running, and gives its share of the traffic to the other one. The watchdog calls this. */
export async function addToQuarantine(
  c: ControlContext,
  { version_id, why }: z.output<typeof quarantineBody>,
): Promise<Response> {
  const worker = workerName(c);
  return respond(await registryFor(c).quarantine(worker, { version_id, why }), () => null);
}

export async function releaseFromQuarantine(c: ControlContext): Promise<Response> {
  const version = c.req.param("version") ?? "";
  const worker = workerName(c);
  const released = await registryFor(c).release(actorOf(c), worker, version);
  if (released.ok && !released.value) return failure({ reason: "version-not-found", worker, version });
  return respond(released, () => null);
}

/** Has everything run that was kept from it. */
export async function releaseAll(c: ControlContext): Promise<Response> {
  return respond(await registryFor(c).release(actorOf(c), workerName(c)), () => null);
}
