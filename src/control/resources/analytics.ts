/** `…/analytics_engine/sql`: queries what Workers wrote to a dataset, in SQLite's SQL. */

import { datasetAdminOf } from "../../bindings/analytics/channel.ts";
import { LIMITS } from "../../lib/limits.ts";
import { readCapped } from "../body.ts";
import type { ControlContext } from "../context.ts";
import { failure } from "../envelope.ts";

/** The answer has no envelope: Cloudflare's has none either. */
export async function queryDataset(c: ControlContext): Promise<Response> {
  const body = await readCapped(c.req.raw, LIMITS.uploads.maxUploadBytes);
  if (!body.ok) return failure(body.error);
  const query = new TextDecoder().decode(body.value).replace(/\s+FORMAT\s+JSON\s*$/i, "");
  const dataset = /^\s*SELECT\b[\s\S]*?\bFROM\s+["'`]?([\w-]+)["'`]?/i.exec(query)?.[1];
  if (dataset === undefined || query.includes(";")) {
    return failure({
      reason: "query-failed",
      detail: "Send one SELECT … FROM <dataset>, without a semicolon.",
    });
  }
  const found = await datasetAdminOf(c.env, dataset).select(query);
  if (found.ok) return Response.json(found.value);
  return failure({ reason: "query-failed", detail: found.error });
}
