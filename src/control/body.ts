/** Reads request bodies within their limits. */

import type { SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";

/** A message cut to the limit in UTF-8 bytes, at a character; null for none. */
export function cutMessage(message: string | null | undefined): string | null {
  if (!message) return null;
  const buffer = new Uint8Array(LIMITS.uploads.maxMessageBytes);
  const { read } = new TextEncoder().encodeInto(message, buffer);
  return message.slice(0, read);
}

/** The multipart body of a request. */
export async function readForm(request: Request): Promise<Result<FormData, SluiceError>> {
  const invalid = (detail: string) => err({ reason: "upload-invalid", detail } as const);
  const type = request.headers.get("Content-Type") ?? "";
  if (!type.toLowerCase().startsWith("multipart/form-data")) {
    return invalid(`its Content-Type is "${type}"; send multipart/form-data with a part named metadata`);
  }
  const body = await readCapped(request, LIMITS.uploads.maxUploadBytes);
  if (body === undefined) return err({ reason: "body-too-large", limitBytes: LIMITS.uploads.maxUploadBytes });
  try {
    return ok(await new Response(body, { headers: { "Content-Type": type } }).formData());
  } catch (error) {
    return invalid(`the multipart body is broken (${(error as Error).message})`);
  }
}

/** The body; undefined where it is longer than `limit` bytes, whatever its Content-Length says. */
export async function readCapped(
  request: Request,
  limit: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (Number(request.headers.get("Content-Length") ?? 0) > limit) return undefined;
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body as ReadableStream<Uint8Array>) {
    size += chunk.byteLength;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
