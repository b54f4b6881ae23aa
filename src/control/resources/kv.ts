/** `…/storage/kv/namespaces`: KV namespaces and their contents, for `wrangler kv`. */

import * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import type { Resource } from "../../account/types.ts";
import { type Namespace, namespaceOf } from "../../bindings/kv/channel.ts";
import { newId } from "../../lib/ids.ts";
import { LIMITS } from "../../lib/limits.ts";
import { readCapped } from "../body.ts";
import { attempt, type ControlContext } from "../context.ts";
import { failure, respond, success, successOfPage } from "../envelope.ts";

export const titleBody = z.looseObject({ title: z.string().min(1).max(512) });
export const bulkPut = z
  .array(
    z.looseObject({
      key: z.string(),
      value: z.string(),
      base64: z.boolean().nullish(),
      expiration: z.number().nullish(),
      expiration_ttl: z.number().nullish(),
      metadata: z.unknown().optional(),
    }),
  )
  .max(10_000, { error: "at most 10,000 pairs can be written at once" });
export const keyList = z.array(z.string()).max(10_000, { error: "at most 10,000 keys at once" });
export const bulkGet = z.looseObject({
  keys: z.array(z.string()).max(100, { error: "at most 100 keys can be read at once" }),
  type: z.enum(["text", "json"]).default("text"),
  withMetadata: z.boolean().default(false),
});

function show({ id, name }: Resource): Record<string, unknown> {
  return { id, title: name, supports_url_encoding: true };
}

export async function listNamespaces(c: ControlContext): Promise<Response> {
  const all = await accountOf(c.env).list("kv");
  return successOfPage(all.map(show), c.req.query("page"), c.req.query("per_page"));
}

export async function createNamespace(
  c: ControlContext,
  body: z.output<typeof titleBody>,
): Promise<Response> {
  const id = newId();
  const created = await accountOf(c.env).create("kv", body.title, id);
  return respond(created, show);
}

export function getNamespace(found: Resource): Response {
  return success(show(found));
}

export async function renameNamespace(
  c: ControlContext,
  body: z.output<typeof titleBody>,
): Promise<Response> {
  const renamed = await accountOf(c.env).rename("kv", idOf(c), body.title);
  return respond(renamed, show);
}

/** Deletes the namespace and everything in it. */
export async function deleteNamespace(c: ControlContext): Promise<Response> {
  const removed = await accountOf(c.env).remove("kv", idOf(c));
  if (!removed.ok) return failure(removed.error);
  const namespace = contentsOf(c);
  for (let complete = false; !complete; ) {
    const { keys, list_complete } = await namespace.list();
    await namespace.delete(keys.map(({ name }) => name));
    complete = list_complete;
  }
  return success(null);
}

export async function listKeys(c: ControlContext): Promise<Response> {
  const { prefix, cursor, limit } = c.req.query();
  if (limit !== undefined && !(Number(limit) >= 1)) {
    return failure({
      reason: "storage-refused",
      detail: `"${limit}" cannot be the limit: use a number from 1 to 1000.`,
    });
  }
  const found = await attempt(() =>
    contentsOf(c).list({
      ...(prefix === undefined ? {} : { prefix }),
      ...(cursor === undefined || cursor === "" ? {} : { cursor }),
      ...(limit === undefined ? {} : { limit: Number(limit) }),
    }),
  );
  if (!found.ok) return failure(found.error);
  const { keys } = found.value;
  const next = found.value.list_complete ? "" : found.value.cursor;
  return success(keys, { result_info: { count: keys.length, cursor: next } });
}

/** The answer is the value, without an envelope. */
export async function getValue(c: ControlContext): Promise<Response> {
  const key = keyOf(c);
  const value = await attempt(() => contentsOf(c).get(key, "stream") as Promise<ReadableStream | null>);
  if (!value.ok) return failure(value.error);
  if (value.value === null) return failure({ reason: "key-not-found", key });
  return new Response(value.value, { headers: { "Content-Type": "application/octet-stream" } });
}

export async function getMetadata(c: ControlContext): Promise<Response> {
  const key = keyOf(c);
  const found = await attempt(
    () => contentsOf(c).getWithMetadata(key) as Promise<{ value: unknown; metadata: unknown }>,
  );
  if (!found.ok) return failure(found.error);
  return found.value.value === null
    ? failure({ reason: "key-not-found", key })
    : success(found.value.metadata);
}

/** The body is the value, or a form with `value` and `metadata`. */
export async function putValue(c: ControlContext): Promise<Response> {
  const body = await readCapped(c.req.raw, LIMITS.uploads.maxUploadBytes);
  if (!body.ok) return failure(body.error);
  const { expiration, expiration_ttl } = c.req.query();
  const expiry = expiryOf(expiration && Number(expiration), expiration_ttl && Number(expiration_ttl));
  const type = c.req.header("Content-Type") ?? "";
  const put = await attempt(async () => {
    if (!type.startsWith("multipart/form-data")) return contentsOf(c).put(keyOf(c), body.value, expiry);
    const form = await new Response(body.value, { headers: { "Content-Type": type } }).formData();
    const value = form.get("value") as File | string | null;
    const metadata = form.get("metadata") as string | null;
    const bytes = typeof value === "string" ? value : ((await value?.arrayBuffer()) ?? "");
    await contentsOf(c).put(keyOf(c), bytes, {
      ...expiry,
      ...(metadata === null ? {} : { metadata: JSON.parse(metadata) }),
    });
  });
  return respond(put, () => null);
}

export async function deleteValue(c: ControlContext): Promise<Response> {
  return respond(await attempt(() => contentsOf(c).delete(keyOf(c))), () => null);
}

/** Stops at the first pair that is refused. The pairs before it stay written, and the answer says how many. */
export async function putBulk(c: ControlContext, body: z.output<typeof bulkPut>): Promise<Response> {
  const namespace = contentsOf(c);
  let written = 0;
  for (const { key, value, base64, expiration, expiration_ttl, metadata } of body) {
    const put = await attempt(() =>
      namespace.put(key, base64 ? Uint8Array.from(atob(value), (char) => char.charCodeAt(0)) : value, {
        ...expiryOf(expiration, expiration_ttl),
        ...(metadata === undefined || metadata === null ? {} : { metadata }),
      }),
    );
    if (!put.ok) {
      const detail = put.error.reason === "storage-refused" ? put.error.detail : "";
      return failure({
        reason: "storage-refused",
        detail: `"${key}": ${detail}; the ${written} pairs before it were written`,
      });
    }
    written++;
  }
  return success({ successful_key_count: written, unsuccessful_keys: [] });
}

export async function deleteBulk(c: ControlContext, body: z.output<typeof keyList>): Promise<Response> {
  const deleted = await attempt(() => contentsOf(c).delete(body));
  return respond(deleted, () => ({ successful_key_count: body.length, unsuccessful_keys: [] }));
}

export async function getBulk(c: ControlContext, body: z.output<typeof bulkGet>): Promise<Response> {
  const { keys, type, withMetadata } = body;
  const namespace = contentsOf(c);
  const found = await attempt(
    () =>
      (withMetadata ? namespace.getWithMetadata(keys, type) : namespace.get(keys, type)) as Promise<
        Map<string, unknown>
      >,
  );
  return respond(found, (values) => ({ values: Object.fromEntries(values) }));
}

const idOf = (c: ControlContext) => c.req.param("namespace") ?? "";
const keyOf = (c: ControlContext) => c.req.param("key") ?? "";

function contentsOf(c: ControlContext): Namespace {
  return namespaceOf(c.env.SLUICE_DATA, idOf(c));
}

function expiryOf(expiration?: number | "" | null, ttl?: number | "" | null): KVNamespacePutOptions {
  return {
    ...(expiration ? { expiration } : {}),
    ...(ttl ? { expirationTtl: ttl } : {}),
  };
}
