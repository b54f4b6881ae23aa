/** `…/incidents` and `…/processes`: what the supervisor says of the server's processes, and what it has seen happen. */
import * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import { LIMITS } from "../../lib/limits.ts";
import { healthAt, setHealth } from "../../metrics/health.ts";
import { registryOf } from "../../registry/index.ts";
import { WORKER_NAME } from "../../router/hosts.ts";
import { CAUSES, versionsNamed } from "../../versions/incident.ts";
import type { ControlContext } from "../context.ts";
import { success, successOfPage } from "../envelope.ts";

const processName = z.string().regex(/^[a-z][a-z0-9-]{0,49}$/, { error: "must be the name of a process" });

const versionOfWorker = z.object({
  worker: z.string().regex(WORKER_NAME, { error: "must be the name of a Worker" }),
  version: z.uuid(),
});

export const incidentBody = z.object({
  id: z.uuid(),
  process: processName,
  cause: z.enum(CAUSES),
  at: z.iso.datetime(),
  evidence: z
    .record(z.string().max(50), z.union([z.string().max(200), z.number(), z.null()]))
    .refine((found) => Object.keys(found).length <= 20, { error: "has more than 20 fields" })
    .default({}),
  versions: z.array(versionOfWorker).max(LIMITS.lists.incidentVersions).default([]),
  culprit: versionOfWorker.nullable().default(null),
});

const amount = z.number().min(0).nullable();

export const healthBody = z.object({
  processes: z
    .array(
      z.object({
        name: processName,
        pid: z.number().int().min(1).nullable(),
        up: z.boolean(),
        resident_memory_bytes: amount,
        memory_limit_bytes: amount,
        open_fds: amount,
        max_fds: amount,
        cpu_seconds: amount,
        restarts: z.record(z.enum(CAUSES), z.number().int().min(0)).nullable(),
      }),
    )
    .max(100),
  disk: z.object({ free_bytes: z.number().min(0), size_bytes: z.number().min(0) }).nullable(),
});

/** GET …/incidents: newest first. */
export async function listIncidents(c: ControlContext): Promise<Response> {
  return successOfPage(await accountOf(c.env).incidents(), c.req.query("page"), c.req.query("per_page"));
}

/**
 * POST …/incidents. The supervisor repeats it until it is accepted, so it is first noted with every Worker that it names,
 * where the second time does nothing, and then in the account.
 */
export async function addIncident(c: ControlContext, body: z.output<typeof incidentBody>): Promise<Response> {
  const workers = new Set(versionsNamed(body).map(({ worker }) => worker));
  await Promise.all([...workers].map((worker) => registryOf(c.env, worker).noteIncident(body)));
  await accountOf(c.env).addIncident(body);
  return success(body);
}

/** GET …/processes. */
export function getProcesses(): Response {
  return success(healthAt(Date.now()));
}

/** PUT …/processes. */
export function putProcesses(body: z.output<typeof healthBody>): Response {
  setHealth(body, Date.now());
  return success(null);
}
