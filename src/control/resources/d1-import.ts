/**
 * `…/d1/database/{id}/import`: a file of SQL, as `wrangler d1 execute --file` sends it. wrangler asks for a URL, uploads
 * the file to it without an API token, then asks to run the file. If one statement fails, none of them takes effect.
 */

import * as z from "zod";
import type { Resource } from "../../account/types.ts";
import { statementsOf } from "../../bindings/d1/statements.ts";
import type { D1Meta, D1Outcome } from "../../bindings/d1/types.ts";
import { toHex, utf8 } from "../../lib/bytes.ts";
import { LIMITS } from "../../lib/limits.ts";
import { equalInConstantTime, sha256Hex } from "../../lib/secrets.ts";
import { readCapped } from "../body.ts";
import type { ControlContext } from "../context.ts";
import { failure, success } from "../envelope.ts";
import { runQueries } from "./d1.ts";

export const importBody = z.discriminatedUnion("action", [
  z.looseObject({
    action: z.literal("init"),
    etag: z.string().regex(/^[0-9a-f]{32}$/, { error: "must be an MD5 in hex" }),
  }),
  z.looseObject({ action: z.literal("ingest"), filename: z.uuid() }),
]);

export async function importFile(
  c: ControlContext,
  database: Resource,
  body: z.output<typeof importBody>,
): Promise<Response> {
  if (body.action === "ingest") return ingest(c, database.id, body.filename);
  const filename = crypto.randomUUID();
  const upload_url = new URL(c.req.url);
  upload_url.pathname += `/${filename}`;
  upload_url.search = new URLSearchParams({
    md5: body.etag,
    signature: await sign(c, database.id, filename, body.etag),
  }).toString();
  return success({ success: true, type: "import", filename, upload_url, messages: [] });
}

/** PUT of the file, to a URL that `importFile` gave. The signature in the URL is the permission. */
export async function uploadFile(c: ControlContext): Promise<Response> {
  const [database, filename] = [c.req.param("database") ?? "", c.req.param("filename") ?? ""];
  const { md5 = "", signature = "" } = c.req.query();
  if (!equalInConstantTime(signature, await sign(c, database, filename, md5))) {
    return failure({ reason: "unauthorized", detail: "no import has this URL; start the import again." });
  }
  const file = await readCapped(c.req.raw, LIMITS.bindings.maxImportBytes);
  if (!file.ok) return failure(file.error);
  const digest = await crypto.subtle.digest("MD5", file.value);
  const etag = toHex(digest);
  if (etag !== md5)
    return failure({ reason: "body-invalid", detail: `its MD5 is ${etag}, but the import announced ${md5}` });
  await c.env.SLUICE_DATA.put(keyOf(database, filename), file.value, {
    expirationTtl: LIMITS.bindings.importSeconds,
  });
  return new Response(null, { headers: { ETag: `"${etag}"` } });
}

async function ingest(c: ControlContext, database: string, filename: string): Promise<Response> {
  const sql = await c.env.SLUICE_DATA.get(keyOf(database, filename));
  if (sql === null)
    return failure({ reason: "body-invalid", detail: `the file ${filename} was not uploaded` });
  const statements = statementsOf(sql).map((statement) => ({ sql: statement, params: [] }));
  const outcomes = await runQueries(c, database, statements);
  await c.env.SLUICE_DATA.delete(keyOf(database, filename));
  if (!outcomes.ok) return failure(outcomes.error);
  const bookmark = Date.now().toString(16).padStart(16, "0");
  const result = { num_queries: statements.length, final_bookmark: bookmark, meta: totalOf(outcomes.value) };
  return success({
    success: true,
    type: "import",
    status: "complete",
    at_bookmark: bookmark,
    messages: [],
    result,
  });
}

/** The sum over all statements. There must be at least one. */
function totalOf(outcomes: readonly D1Outcome[]): D1Meta {
  return outcomes
    .map(({ meta }) => meta)
    .reduce((sum, meta) => ({
      ...meta,
      duration: sum.duration + meta.duration,
      changes: sum.changes + meta.changes,
      changed_db: sum.changed_db || meta.changed_db,
      rows_read: sum.rows_read + meta.rows_read,
      rows_written: sum.rows_written + meta.rows_written,
    }));
}

function sign(c: ControlContext, ...parts: string[]): Promise<string> {
  return sha256Hex(utf8([c.env.SLUICE_TOKEN_SHA256, ...parts].join("\n")));
}

/** In the same KV as the namespaces, whose ids never begin with a dot. */
const keyOf = (database: string, filename: string): string => `.import/${database}/${filename}`;
