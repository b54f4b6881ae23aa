/** `…/r2/buckets`: R2 buckets and their objects, for `wrangler r2`. */
import * as z from "zod";
import { accountOf } from "../../account/registry.ts";
import type { Resource } from "../../account/types.ts";
import { type Bucket, bucketOf } from "../../bindings/r2/channel.ts";
import { attempt, type ControlContext } from "../context.ts";
import { failure, respond, success } from "../envelope.ts";
import { bucketName } from "../schemas.ts";

export const bucketBody = z.looseObject({ name: bucketName });

const nameOf = (c: ControlContext) => c.req.param("bucket") ?? "";
/** The rest of the path, because keys contain slashes. Throws where it is not UTF-8. */
function keyOf(c: ControlContext): string {
  const key = c.req.path.split("/objects/").slice(1).join("/objects/");
  try {
    return decodeURIComponent(key);
  } catch {
    throw new TypeError(`"${key}" cannot be the name of an object: it is not UTF-8.`);
  }
}

function show({ name, created_on }: Resource): Record<string, unknown> {
  return {
    name,
    creation_date: created_on,
    location: "local",
    storage_class: "Standard",
    jurisdiction: "default",
  };
}

function contentsOf(c: ControlContext): Bucket {
  return bucketOf(c.env.SLUICE_BUCKET, nameOf(c));
}

export async function listBuckets(c: ControlContext): Promise<Response> {
  const all = await accountOf(c.env).list("r2");
  return success({ buckets: all.map(show) });
}

export async function createBucket(c: ControlContext, body: z.output<typeof bucketBody>): Promise<Response> {
  const created = await accountOf(c.env).create("r2", body.name, body.name);
  return respond(created, show);
}

export function getBucket(found: Resource): Response {
  return success(show(found));
}

/** Refused while the bucket has objects. */
export async function deleteBucket(c: ControlContext): Promise<Response> {
  const { objects } = await contentsOf(c).list({ limit: 1 });
  if (objects.length > 0) return failure({ reason: "bucket-not-empty", bucket: nameOf(c) });
  const removed = await accountOf(c.env).remove("r2", nameOf(c));
  return respond(removed, () => ({}));
}

/** The answer is the content, without an envelope. */
export async function getObject(c: ControlContext): Promise<Response> {
  const found = await attempt(() => contentsOf(c).get(keyOf(c)));
  if (!found.ok) return failure(found.error);
  if (found.value?.body === undefined) return failure({ reason: "object-not-found", key: keyOf(c) });
  const { meta, body } = found.value;
  const headers = new Headers({ ETag: meta.httpEtag, "Content-Length": String(meta.size) });
  headers.set("Content-Type", meta.httpMetadata?.contentType ?? "application/octet-stream");
  return new Response(body, { headers });
}

/** The body is the content. It is streamed, never held in memory as a whole. */
export async function putObject(c: ControlContext): Promise<Response> {
  const content = c.req.raw.body ?? "";
  const headers = new Headers();
  for (const name of [
    "content-type",
    "content-disposition",
    "content-encoding",
    "content-language",
    "cache-control",
    "expires",
  ]) {
    const value = c.req.header(name);
    if (value !== undefined) headers.set(name, value);
  }
  const stored = await attempt(() => contentsOf(c).put(keyOf(c), content, { httpMetadata: headers }));
  return respond(stored, (meta) => ({
    key: keyOf(c),
    etag: meta?.etag,
    size: String(meta?.size),
    version: meta?.version,
  }));
}

export async function deleteObject(c: ControlContext): Promise<Response> {
  return respond(await attempt(() => contentsOf(c).delete(keyOf(c))), () => ({ key: keyOf(c) }));
}
