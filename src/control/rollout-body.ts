/**
 * The plan of a rollout as the API accepts it. Unknown fields are refused by name: a misspelt one would leave its default
 * in place, and the plan would not be what its author reads in it.
 */
import * as z from "zod";
import { TEMPLATES, type TemplateName } from "../rollout/plan.ts";
import { datasetName, fieldName } from "./schemas.ts";

const stage = z.strictObject({
  percentage: z.number(),
  soak_seconds: z
    .number()
    .min(0)
    .max(30 * 86_400)
    .optional(),
  min_exposures: z.number().int().min(0).optional(),
  approval: z.enum(["auto", "manual"]).optional(),
});

const failures = z.strictObject({
  statuses: z.array(z.number().int().min(400).max(499)).max(100).optional(),
  timeout_seconds: z.number().min(1).max(300).optional(),
  body: z.boolean().optional(),
  dataset: datasetName.nullable().optional(),
});

const gates = z.strictObject({
  alpha: z.number().gt(0).max(0.5).optional(),
  margin: z.number().min(1).max(10).optional(),
  latency: z.boolean().optional(),
  cpu: z.boolean().optional(),
  reference: z.enum(["baseline", "stable"]).optional(),
  failures: failures.optional(),
  max_harmed: z.number().int().min(1).nullable().optional(),
  require: z.enum(["exposures", "evidence"]).optional(),
});

const cohort = z.strictObject({
  type: z.enum(["header", "cookie"]),
  name: fieldName,
  value: z.string().min(1).max(256),
});

const smokeRequest = z.strictObject({
  path: z.string().min(1).max(2_000),
  method: z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]).optional(),
  status: z.number().int().min(200).max(599).nullable().optional(),
});

const freezeWindow = z.strictObject({
  cron: z.string().min(1).max(100),
  hours: z.number().gt(0).max(336),
  timezone: z.string().min(1).max(100).optional(),
});

const linked = z.strictObject({ worker: z.string().min(1), version_id: z.string().min(1) });

/** Body of POST …/rollouts. The `plan` of a rollout that the API shows is accepted as it is. */
export const rolloutBody = z.strictObject({
  version_id: z.string().min(1),
  stages: z.array(stage).min(1).max(20).optional(),
  template: z.enum(Object.keys(TEMPLATES) as [TemplateName]).optional(),
  on_fail: z.enum(["rollback", "hold"]).optional(),
  gates: gates.optional(),
  cohort: cohort.nullable().optional(),
  smoke: z.array(smokeRequest).max(20).optional(),
  freeze: z.array(freezeWindow).max(10).optional(),
  linked: linked.nullable().optional(),
});
