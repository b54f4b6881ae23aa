/**
 * The messages of workerd's R2 binding (its `r2-api.capnp`, as JSON). A request that reads is a GET with the message in
 * the header `cf-r2-request`. One that writes is a PUT whose body begins with the message; `cf-r2-metadata-size` has its
 * length in bytes. An answer's body begins with a message of the same kind. Pure.
 */
import * as z from "zod";
import { utf8 } from "../../lib/bytes.ts";
import { R2_LIMITS } from "./limits.ts";
import {
  ALGORITHMS,
  type Algorithm,
  type Checksums,
  type Described,
  type Range,
  type StoredObject,
} from "./types.ts";

export const HEADERS = {
  request: "cf-r2-request",
  metadataSize: "cf-r2-metadata-size",
  error: "cf-r2-error",
} as const;

/** 64-bit integers come as texts. */
const integer = z.coerce.number();
const hex = z.string().regex(/^(?:[0-9a-f]{2})*$/i);

const etags = z
  .array(
    z.discriminatedUnion("type", [
      z.object({ type: z.literal("strong"), value: z.string().default("") }),
      z.object({ type: z.literal("weak"), value: z.string().default("") }),
      z.object({ type: z.literal("wildcard") }),
    ]),
  )
  .optional();

const condition = z
  .object({
    etagMatches: etags,
    etagDoesNotMatch: etags,
    uploadedBefore: integer.optional(),
    uploadedAfter: integer.optional(),
    secondsGranularity: z.boolean().optional(),
  })
  .optional();

const described = {
  object: z.string(),
  customFields: z.array(z.object({ k: z.string(), v: z.string() })).default([]),
  httpFields: z
    .object({
      contentType: z.string().optional(),
      contentLanguage: z.string().optional(),
      contentDisposition: z.string().optional(),
      contentEncoding: z.string().optional(),
      cacheControl: z.string().optional(),
      cacheExpiry: integer.optional(),
    })
    .default({}),
  storageClass: z.string().optional(),
};

const part = { object: z.string(), uploadId: z.string() };

const message = z.discriminatedUnion("method", [
  z.object({ method: z.literal("head"), object: z.string() }),
  z.object({
    method: z.literal("get"),
    object: z.string(),
    range: z
      .object({ offset: integer.optional(), length: integer.optional(), suffix: integer.optional() })
      .optional(),
    rangeHeader: z.string().optional(),
    onlyIf: condition,
  }),
  z.object({
    method: z.literal("put"),
    ...described,
    onlyIf: condition,
    // In base64, unlike the others.
    md5: z.string().optional(),
    sha1: hex.optional(),
    sha256: hex.optional(),
    sha384: hex.optional(),
    sha512: hex.optional(),
  }),
  z.object({
    method: z.literal("list"),
    limit: z.number().optional(),
    prefix: z.string().default(""),
    cursor: z.string().optional(),
    delimiter: z.string().default(""),
    startAfter: z.string().optional(),
    /** 0: HTTP metadata, 1: custom metadata. */
    include: z.array(z.number()).default([]),
  }),
  z.object({
    method: z.literal("delete"),
    object: z.string().optional(),
    objects: z.array(z.string()).optional(),
  }),
  z.object({ method: z.literal("createMultipartUpload"), ...described }),
  z.object({ method: z.literal("uploadPart"), ...part, partNumber: z.number() }),
  z.object({
    method: z.literal("completeMultipartUpload"),
    ...part,
    parts: z.array(z.object({ etag: z.string(), part: z.number() })).default([]),
  }),
  z.object({ method: z.literal("abortMultipartUpload"), ...part }),
]);

export type Message = z.infer<typeof message>;
export type MessageOf<Method extends Message["method"]> = Extract<Message, { method: Method }>;

/** Undefined if this is no message of the binding. */
export function parseMessage(text: string): Message | undefined {
  try {
    return message.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** What an upload says about its object. */
export function describedBy(asked: MessageOf<"put" | "createMultipartUpload">): Described {
  return {
    key: asked.object,
    http: asked.httpFields,
    custom: Object.fromEntries(asked.customFields.map(({ k, v }) => [k, v])),
    // As in Miniflare. Cloudflare says "Standard".
    storageClass: asked.storageClass ?? "",
  };
}

/** The digests that a put's content must have, in hex. */
export function expectedDigests(asked: MessageOf<"put">): Checksums {
  const md5 = asked.md5 && toHexFromBase64(asked.md5);
  const given: Partial<Record<Algorithm, string | undefined>> = { ...asked, md5 };
  return Object.fromEntries(
    ALGORITHMS.flatMap((name) => (given[name] ? [[name, given[name].toLowerCase()]] : [])),
  );
}

function toHexFromBase64(text: string): string {
  return Array.from(atob(text), (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

/** The first rule of names and metadata that an upload breaks. */
export function checkDescribed({
  key,
  custom,
}: Described): "invalidObjectName" | "metadataTooLarge" | undefined {
  if (!isKey(key)) return "invalidObjectName";
  const bytes = Object.entries(custom).reduce((sum, [k, v]) => sum + lengthOf(k) + lengthOf(v), 0);
  return bytes > R2_LIMITS.metadataBytes ? "metadataTooLarge" : undefined;
}

export function isKey(key: string): boolean {
  return utf8(key).byteLength <= R2_LIMITS.keyBytes;
}

/** R2 counts a character of metadata as one byte, or each as two if one is not in Latin-1. */
function lengthOf(text: string): number {
  return [...text].some((character) => (character.codePointAt(0) ?? 0) > 0xff)
    ? text.length * 2
    : text.length;
}

/** An object as the binding reads it. @param range what a head or get reports */
export function encodeObject(object: StoredObject, range?: Range): Record<string, unknown> {
  return {
    name: object.key,
    version: object.version,
    size: object.size,
    etag: object.etag,
    uploaded: object.uploaded,
    httpFields: object.http,
    customFields: Object.entries(object.custom).map(([k, v]) => ({ k, v })),
    storageClass: object.storageClass,
    checksums: Object.fromEntries(ALGORITHMS.map((name, i) => [i, object.checksums[name]])),
    range,
  };
}
