/** `…/d1/database`: the databases and what is in them, as `wrangler d1` speaks to them. */
import * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import type { Resource } from "../../account/types.ts";
import { databaseOf } from "../../bindings/d1/database.ts";
import { statementsOf } from "../../bindings/d1/statements.ts";
import type { D1Outcome, D1Query, D1Value } from "../../bindings/d1/types.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { attempt, type ControlContext, readBody } from "../context.ts";
import { failure, respond, success, successOfPage } from "../envelope.ts";

const nameBody = z.looseObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/i, {
    error: "must be 1 to 64 letters, digits, - and _, beginning with a letter or digit",
  }),
});
const query = z.looseObject({
  sql: z.string().min(1),
  params: z.array(z.union([z.string(), z.number(), z.null()])).default([]),
});
type Query = z.infer<typeof query>;
const queryBody = z.union([query, z.looseObject({ batch: z.array(query).min(1) })]);

function show({ id, name, created_on }: Resource): Record<string, unknown> {
  return { uuid: id, name, created_at: created_on, version: "production" };
}

/** The database whose id, or else whose name, the path has; or that there is none. */
export async function findDatabase(c: ControlContext): Promise<Result<Resource, SluiceError>> {
  const id = c.req.param("database") ?? "";
  const account = accountOf(c.env);
  const found = ((await account.get("d1", id)) ?? (await account.named("d1", id))) as Resource | undefined;
  return found === undefined ? err({ reason: "resource-not-found", kind: "d1", id }) : ok(found);
}

export async function listDatabases(c: ControlContext): Promise<Response> {
  const all = await accountOf(c.env).list("d1");
  const wanted = c.req.query("name");
  const found = wanted ? all.filter(({ name }) => name === wanted) : all;
  return successOfPage(found.map(show), c.req.query("page"), c.req.query("per_page"));
}

export async function createDatabase(c: ControlContext): Promise<Response> {
  const body = await readBody(c, nameBody);
  if (!body.ok) return failure(body.error);
  const created = await accountOf(c.env).create("d1", body.value.name, crypto.randomUUID());
  return respond(created, show);
}

export async function getDatabase(c: ControlContext): Promise<Response> {
  const found = await findDatabase(c);
  if (!found.ok) return failure(found.error);
  const { size, tables } = await databaseOf(c.env, found.value.id).describe();
  return success({ ...show(found.value), file_size: size, num_tables: tables });
}

/** With everything in it. */
export async function deleteDatabase(c: ControlContext): Promise<Response> {
  const found = await findDatabase(c);
  if (!found.ok) return failure(found.error);
  await accountOf(c.env).remove("d1", found.value.id);
  await databaseOf(c.env, found.value.id).clear();
  return success(null);
}

/** Rows as objects; a text of several statements gives a result for each. */
export async function queryDatabase(c: ControlContext): Promise<Response> {
  return respond(await run(c), (outcomes) =>
    outcomes.map(({ columns, rows, meta }) => ({
      success: true,
      meta,
      results: rows.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], toJson(value)]))),
    })),
  );
}

/** Rows as arrays, with the names of the columns. */
export async function rawDatabase(c: ControlContext): Promise<Response> {
  return respond(await run(c), (outcomes) =>
    outcomes.map(({ columns, rows, meta }) => ({
      success: true,
      meta,
      results: { columns, rows: rows.map((row) => row.map(toJson)) },
    })),
  );
}

async function run(c: ControlContext): Promise<Result<D1Outcome[], SluiceError>> {
  const found = await findDatabase(c);
  if (!found.ok) return found;
  const body = await readBody(c, queryBody);
  if (!body.ok) return body;
  const given = "batch" in body.value ? (body.value.batch as Query[]) : [body.value as Query];
  return runQueries(c, found.value.id, given.flatMap(toQueries));
}

/** Parameters belong to one statement. */
function toQueries({ sql, params }: Query): D1Query[] {
  return params.length > 0
    ? [{ sql, params }]
    : statementsOf(sql).map((statement) => ({ sql: statement, params: [] }));
}

/** Runs all of them, or none. */
export async function runQueries(
  c: ControlContext,
  database: string,
  queries: readonly D1Query[],
): Promise<Result<D1Outcome[], SluiceError>> {
  if (queries.length === 0) return err({ reason: "query-failed", detail: "No SQL statements detected." });
  // What does not fit into one message between two objects fails before it is run, or after.
  const outcomes = await attempt(async () => databaseOf(c.env, database).query(queries));
  if (!outcomes.ok) return outcomes;
  const result = outcomes.value;
  return result.ok ? result : err({ reason: "query-failed", detail: result.error });
}

function toJson(value: D1Value): unknown {
  return value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value;
}
