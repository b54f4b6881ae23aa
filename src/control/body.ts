/** Reads request bodies, up to their limits. */
import type { SluiceError } from "../lib/errors.ts";
import { LIMITS } from "../lib/limits.ts";
import { err, ok, type Result } from "../lib/result.ts";

/** A message, cut between two characters to the limit in bytes of UTF-8; null for an empty one. */
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
  if (!body.ok) return body;
  try {
    return ok(await new Response(body.value, { headers: { "Content-Type": type } }).formData());
  } catch (error) {
    return invalid(`the multipart body is broken (${(error as Error).message})`);
  }
}

/** The body, which is refused where it has more bytes than the limit, whatever its Content-Length says. */
export async function readCapped(
  request: Request,
  limitBytes: number,
): Promise<Result<Uint8Array<ArrayBuffer>, SluiceError>> {
  const tooLarge = () => err({ reason: "body-too-large", limitBytes } as const);
  if (Number(request.headers.get("Content-Length") ?? 0) > limitBytes) return tooLarge();
  if (request.body === null) return ok(new Uint8Array());
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body as ReadableStream<Uint8Array>) {
    size += chunk.byteLength;
    if (size > limitBytes) return tooLarge();
    chunks.push(chunk);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return ok(whole);
}
