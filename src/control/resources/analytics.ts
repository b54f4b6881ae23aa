/** `…/analytics_engine/sql`: what Workers wrote to a dataset, by SQLite's SQL. */

import { datasetOf } from "../../bindings/analytics/dataset.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { LIMITS } from "../../lib/limits.ts";
import { readCapped } from "../body.ts";
import type { ControlContext } from "../context.ts";
import { failure } from "../envelope.ts";

/** The answer has no envelope, as Cloudflare's. */
export async function queryDataset(c: ControlContext): Promise<Response> {
  const body = await readCapped(c.req.raw, LIMITS.uploads.maxUploadBytes);
  if (body === undefined)
    return failure({ reason: "body-too-large", limitBytes: LIMITS.uploads.maxUploadBytes });
  const query = new TextDecoder().decode(body).replace(/\s+FORMAT\s+JSON\s*$/i, "");
  const dataset = /^\s*SELECT\b[\s\S]*?\bFROM\s+["'`]?([\w-]+)["'`]?/i.exec(query)?.[1];
  if (dataset === undefined || query.includes(";")) {
    return failure({
      reason: "query-failed",
      detail: "send one SELECT … FROM <dataset>, without a semicolon",
    });
  }
  const found = await datasetOf(c.env, dataset).select(dataset, query);
  if (found.ok) return Response.json(found.value);
  const error: SluiceError = { reason: "query-failed", detail: found.error };
  return failure(error);
}
