/** `…/d1/database`: D1 databases and their contents, for `wrangler d1`. */
import * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import type { Resource } from "../../account/types.ts";
import { d1AdminOf } from "../../bindings/d1/channel.ts";
import { statementsOf } from "../../bindings/d1/statements.ts";
import type { D1Outcome, D1Query, D1Value } from "../../bindings/d1/types.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { err, type Result } from "../../lib/result.ts";
import { attempt, type ControlContext } from "../context.ts";
import { respond, success, successOfPage } from "../envelope.ts";

export const nameBody = z.looseObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/i, {
    error: "must be 1 to 64 letters, digits, - and _, beginning with a letter or digit",
  }),
});
const query = z.looseObject({
  sql: z.string().min(1),
  params: z.array(z.union([z.string(), z.number(), z.null()])).default([]),
});
type Query = z.infer<typeof query>;
export const queryBody = z.union([query, z.looseObject({ batch: z.array(query).min(1) })]);

type QueryBody = z.output<typeof queryBody>;

function show({ id, name, created_on }: Resource): Record<string, unknown> {
  return { uuid: id, name, created_at: created_on, version: "production" };
}

export async function listDatabases(c: ControlContext): Promise<Response> {
  const all = await accountOf(c.env).list("d1");
  const wanted = c.req.query("name");
  const found = wanted ? all.filter(({ name }) => name === wanted) : all;
  return successOfPage(found.map(show), c.req.query("page"), c.req.query("per_page"));
}

export async function createDatabase(c: ControlContext, body: z.output<typeof nameBody>): Promise<Response> {
  const created = await accountOf(c.env).create("d1", body.name, crypto.randomUUID());
  return respond(created, show);
}

export async function getDatabase(c: ControlContext, found: Resource): Promise<Response> {
  const { size, tables } = await d1AdminOf(c.env, found.id).describe();
  return success({ ...show(found), file_size: size, num_tables: tables });
}

/** Deletes the database and everything in it. */
export async function deleteDatabase(c: ControlContext, { id }: Resource): Promise<Response> {
  await accountOf(c.env).remove("d1", id);
  await d1AdminOf(c.env, id).clear();
  return success(null);
}

/** Answers with rows as objects: one result per statement. */
export async function queryDatabase(c: ControlContext, { id }: Resource, body: QueryBody): Promise<Response> {
  return respond(await run(c, id, body), (outcomes) =>
    outcomes.map(({ columns, rows, meta }) => ({
      success: true,
      meta,
      results: rows.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], toJson(value)]))),
    })),
  );
}

/** Answers with rows as arrays, and the names of the columns. */
export async function rawDatabase(c: ControlContext, { id }: Resource, body: QueryBody): Promise<Response> {
  return respond(await run(c, id, body), (outcomes) =>
    outcomes.map(({ columns, rows, meta }) => ({
      success: true,
      meta,
      results: { columns, rows: rows.map((row) => row.map(toJson)) },
    })),
  );
}

function run(
  c: ControlContext,
  database: string,
  body: QueryBody,
): Promise<Result<D1Outcome[], SluiceError>> {
  const given = "batch" in body ? (body.batch as Query[]) : [body as Query];
  return runQueries(c, database, given.flatMap(toQueries));
}

/** Parameters are for one statement, so a text with parameters is not split into several. */
function toQueries({ sql, params }: Query): D1Query[] {
  return params.length > 0
    ? [{ sql, params }]
    : statementsOf(sql).map((statement) => ({ sql: statement, params: [] }));
}

/** Runs all queries in one transaction. */
export async function runQueries(
  c: ControlContext,
  database: string,
  queries: readonly D1Query[],
): Promise<Result<D1Outcome[], SluiceError>> {
  if (queries.length === 0) return err({ reason: "query-failed", detail: "No SQL statements detected." });
  // The call itself rejects where the queries or their rows do not fit into one message.
  const outcomes = await attempt(async () => d1AdminOf(c.env, database).query(queries));
  if (!outcomes.ok) return outcomes;
  const result = outcomes.value;
  return result.ok ? result : err({ reason: "query-failed", detail: result.error });
}

function toJson(value: D1Value): unknown {
  return value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value;
}
