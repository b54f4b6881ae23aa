/** What starts a Worker besides requests to its own hostname: routes, custom domains and cron triggers. */

import * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import type { Domain, DomainInput, Route } from "../../account/types.ts";
import { type CronTrigger, refuseCron } from "../../events/crons.ts";
import { schedulerOf } from "../../events/scheduler.ts";
import { toHex, utf8 } from "../../lib/bytes.ts";
import { nowOf } from "../../lib/clock.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { LIMITS } from "../../lib/limits.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { registryOf } from "../../registry/index.ts";
import { isHostname, parsePattern } from "../../router/routes.ts";
import { actorOf, type ControlContext, workerName } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";

const routeBody = z.looseObject({ pattern: z.string().min(1) });
export const routesBody = z.array(routeBody).max(LIMITS.events.maxRoutes);
export const zoneRouteBody = z.looseObject({ pattern: z.string().min(1), script: z.string().min(1) });
const domainInput = z.looseObject({
  hostname: z.string().min(1),
  zone_id: z.string().nullish(),
  zone_name: z.string().nullish(),
});
export const domainsBody = z.array(domainInput).max(LIMITS.events.maxRoutes);
export const domainRecordsBody = z.looseObject({
  override_existing_origin: z.boolean().nullish(),
  origins: domainsBody,
});
export const schedulesBody = z.array(z.looseObject({ cron: z.string() })).max(LIMITS.events.maxCrons);

interface TriggerChange {
  readonly what: "routes" | "domains" | "crons";
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** Records a change of triggers in the Worker's audit trail. wrangler sends them with every deploy, changed or not. */
async function note(
  c: ControlContext,
  worker: string,
  { what, before, after }: TriggerChange,
): Promise<void> {
  if (JSON.stringify([...before].sort()) === JSON.stringify([...after].sort())) return;
  await registryOf(c.env, worker).note(actorOf(c), "triggers", { [what]: after, before });
}

async function patternsOf(c: ControlContext, worker: string): Promise<string[]> {
  const routes = await accountOf(c.env).routes();
  return routes.filter((route) => route.worker === worker).map(({ pattern }) => pattern);
}

/** Replaces all routes of a Worker. */
async function setRoutes(
  c: ControlContext,
  worker: string,
  patterns: readonly string[],
): Promise<Result<readonly Route[], SluiceError>> {
  const before = await patternsOf(c, worker);
  const set = await accountOf(c.env).setRoutes(worker, patterns);
  if (set.ok) await note(c, worker, { what: "routes", before, after: patterns });
  return set;
}

const invalid = (detail: string) => err({ reason: "body-invalid", detail } as const);

const showRoute = ({ id, pattern, worker }: Route) => ({ id, pattern, script: worker });

/** GET …/scripts/{worker}/routes. */
export async function listRoutes(c: ControlContext): Promise<Response> {
  const routes = await accountOf(c.env).routes();
  return success(routes.filter(({ worker }) => worker === workerName(c)).map(showRoute));
}

/** PUT …/scripts/{worker}/routes: replaces all of them. */
export async function putRoutes(c: ControlContext, body: z.output<typeof routesBody>): Promise<Response> {
  const patterns = checkPatterns(body.map(({ pattern }) => pattern));
  if (!patterns.ok) return failure(patterns.error);
  return respond(await setRoutes(c, workerName(c), patterns.value), (set) => set.map(showRoute));
}

function checkPatterns(patterns: readonly string[]): Result<readonly string[], SluiceError> {
  for (const pattern of patterns) {
    const parsed = parsePattern(pattern);
    if (!parsed.ok) return invalid(`the route "${pattern}" ${parsed.error}`);
  }
  return ok([...new Set(patterns)]);
}

/** The id of a zone is its name in hex: every domain is a zone, and none has to be created. */
const zoneId = (name: string) => toHex(utf8(name));
const zoneName = (id: string) =>
  new TextDecoder().decode(Uint8Array.from(id.match(/../g) ?? [], (hex) => Number.parseInt(hex, 16)));

/** GET /zones?name=…: wrangler looks up the zone of a route before it sends the route. */
export function listZones(c: ControlContext): Response {
  const name = c.req.query("name")?.toLowerCase();
  if (name === undefined || !isHostname(name)) return success([]);
  return success([{ id: zoneId(name), name, status: "active", account: { id: c.env.SLUICE_ACCOUNT_ID } }]);
}

/** GET /zones/{zone}/workers/routes. */
export async function listZoneRoutes(c: ControlContext): Promise<Response> {
  const zone = zoneName(c.req.param("zone") ?? "");
  const routes = await accountOf(c.env).routes();
  const isInside = ({ pattern }: Route) => {
    const parsed = parsePattern(pattern);
    const host = parsed.ok ? parsed.value.host.replace(/^\./, "") : "";
    return host === zone || host.endsWith(`.${zone}`);
  };
  return success(routes.filter(isInside).map(showRoute));
}

/** POST /zones/{zone}/workers/routes: adds one. */
export async function createZoneRoute(
  c: ControlContext,
  body: z.output<typeof zoneRouteBody>,
): Promise<Response> {
  const { pattern, script } = body;
  const patterns = checkPatterns([pattern]);
  if (!patterns.ok) return failure(patterns.error);
  if ((await registryOf(c.env, script).overview()) === undefined) {
    return failure({ reason: "worker-not-found", worker: script });
  }
  const all = new Set([...(await patternsOf(c, script)), pattern]);
  return respond(
    await setRoutes(c, script, [...all]),
    (set) => set.filter((route) => route.pattern === pattern).map(showRoute)[0],
  );
}

/** DELETE /zones/{zone}/workers/routes/{route}. */
export async function deleteZoneRoute(c: ControlContext): Promise<Response> {
  const routes = await accountOf(c.env).routes();
  const found = routes.find(({ id }) => id === c.req.param("route"));
  if (found === undefined) return failure({ reason: "route-not-found", id: c.req.param("route") ?? "" });
  const rest = routes.filter(({ worker, id }) => worker === found.worker && id !== found.id);
  const set = await setRoutes(
    c,
    found.worker,
    rest.map(({ pattern }) => pattern),
  );
  return respond(set, () => ({ id: found.id }));
}

const showDomain = ({ id, hostname, worker, zone }: Domain) => ({
  id,
  hostname,
  service: worker,
  environment: "production",
  zone_id: zoneId(zone),
  zone_name: zone,
  enabled: true,
  previews_enabled: false,
});

function readDomains(inputs: z.infer<typeof domainsBody>): Result<readonly DomainInput[], SluiceError> {
  const read = new Map<string, DomainInput>();
  for (const { hostname: text, zone_id, zone_name } of inputs) {
    const hostname = text.toLowerCase();
    if (!isHostname(hostname)) return invalid(`"${text}" is not a hostname, so it cannot be a custom domain`);
    // Where the client names no zone, the last two labels: wrangler guesses the same.
    const zone = zone_name ?? (zone_id ? zoneName(zone_id) : hostname.split(".").slice(-2).join("."));
    read.set(hostname, { hostname, zone });
  }
  return ok([...read.values()]);
}

/** POST …/scripts/{worker}/domains/changeset: what a PUT of the records would change. */
export async function domainChangeset(
  c: ControlContext,
  body: z.output<typeof domainsBody>,
): Promise<Response> {
  const inputs = readDomains(body);
  if (!inputs.ok) return failure(inputs.error);
  const changes = await accountOf(c.env).domainChanges(workerName(c), inputs.value);
  return success({
    added: changes.added.map(showDomain),
    removed: changes.removed.map(showDomain),
    updated: changes.updated.map(({ modified, ...domain }) => ({ ...showDomain(domain), modified })),
    // Sluice has no DNS records that could conflict.
    conflicting: [],
  });
}

/** PUT …/scripts/{worker}/domains/records: replaces all of them. */
export async function putDomains(
  c: ControlContext,
  body: z.output<typeof domainRecordsBody>,
): Promise<Response> {
  const inputs = readDomains(body.origins);
  if (!inputs.ok) return failure(inputs.error);
  const takeOver = body.override_existing_origin === true;
  const account = accountOf(c.env);
  const before = (await account.domains()).filter(({ worker }) => worker === workerName(c));
  const domains = await account.setDomains(workerName(c), inputs.value, takeOver);
  const names = (list: readonly Domain[]) => list.map(({ hostname }) => hostname);
  if (domains.ok)
    await note(c, workerName(c), { what: "domains", before: names(before), after: names(domains.value) });
  return respond(domains, (all) => all.map(showDomain));
}

/** GET /workers/domains and /workers/domains/records. `?service=` filters by Worker. */
export async function listDomains(c: ControlContext): Promise<Response> {
  const service = c.req.query("service");
  const domains = await accountOf(c.env).domains();
  return success(domains.filter(({ worker }) => service === undefined || worker === service).map(showDomain));
}

/** GET /workers/domains/records/{domain}. */
export async function getDomain(c: ControlContext): Promise<Response> {
  const id = c.req.param("domain") ?? "";
  const found = (await accountOf(c.env).domains()).find((domain) => domain.id === id);
  return found === undefined ? failure({ reason: "domain-not-found", id }) : success(showDomain(found));
}

/** GET …/scripts/{worker}/schedules. */
export async function listSchedules(c: ControlContext): Promise<Response> {
  return success({ schedules: await schedulerOf(c.env, workerName(c)).triggers() });
}

/** PUT …/scripts/{worker}/schedules: replaces all of them. */
export async function putSchedules(
  c: ControlContext,
  body: z.output<typeof schedulesBody>,
): Promise<Response> {
  for (const { cron } of body) {
    const why = refuseCron(cron, nowOf(c.env));
    if (why !== undefined) return failure({ reason: "cron-invalid", detail: `"${cron}" ${why}` });
  }
  const crons = body.map(({ cron }) => cron.trim());
  const scheduler = schedulerOf(c.env, workerName(c));
  const before = await scheduler.triggers();
  const schedules = await scheduler.setTriggers(workerName(c), crons);
  const names = (list: readonly CronTrigger[]) => list.map(({ cron }) => cron);
  await note(c, workerName(c), { what: "crons", before: names(before), after: names(schedules) });
  return success({ schedules });
}

/** GET …/scripts/{worker}/schedules/runs: the runs with their versions, newest first. */
export async function listCronRuns(c: ControlContext): Promise<Response> {
  const runs = await schedulerOf(c.env, workerName(c)).runs();
  const date = (time: number | null) => (time === null ? null : new Date(time).toISOString());
  return success(
    runs.map(({ time, started, ended, ...run }) => ({
      ...run,
      scheduled_time: date(time),
      started_on: date(started),
      ended_on: date(ended),
    })),
  );
}
