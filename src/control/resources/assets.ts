/** Uploads of assets: `…/scripts/{worker}/assets-upload-session` and `…/workers/assets/upload`. */

import type * as z from "zod";
import { bucketsOf } from "../../assets/manifest.ts";
import type { AssetMetadata } from "../../assets/types.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { LIMITS } from "../../lib/limits.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { AnnouncedFiles, Session } from "../../registry/asset-sessions.ts";
import { registryOf } from "../../registry/index.ts";
import { readCapped, readForm } from "../body.ts";
import { type ControlContext, registryFor, workerName } from "../context.ts";
import { failure, success } from "../envelope.ts";
import type { assetsManifest } from "../schemas.ts";
import { signTicket, type Ticket, verifyTicket } from "../tickets.ts";

/** What wrangler sends for a file without a type. */
const NO_TYPE = "application/null";

/** POST …/assets-upload-session: which files are still to be sent, and the ticket to send them with. */
export async function openSession(
  c: ControlContext,
  body: z.output<typeof assetsManifest>,
): Promise<Response> {
  const manifest = Object.fromEntries(
    Object.entries(body.manifest).map(([path, { hash, size }]) => [path, [hash, size] as const]),
  );
  const session = await registryFor(c).openAssets(manifest);
  const jwt = await ticketFor(c, workerName(c), session);
  return success({ jwt, buckets: bucketsOf(manifest, session.missing) });
}

function ticketFor(c: ControlContext, worker: string, { id, expires }: Session): Promise<string> {
  return signTicket(c.env, { purpose: "assets", worker, id, exp: expires });
}

interface SentFile {
  readonly hash: string;
  readonly bytes: Uint8Array;
  readonly type: string;
}

/** POST …/assets/upload?base64=true: several files, each a part whose name is its hash. */
export async function uploadFiles(c: ControlContext): Promise<Response> {
  const ticket = await ticketOf(c);
  if (ticket === undefined) return failure({ reason: "assets-session-invalid" });
  const form = await readForm(c.req.raw);
  if (!form.ok) return failure(form.error);
  const files: SentFile[] = [];
  for (const [hash, part] of form.value as Iterable<[string, File | string]>) {
    const text = typeof part === "string" ? part : await part.text();
    try {
      const type = typeof part === "string" ? NO_TYPE : part.type;
      files.push({ hash, bytes: fromBase64(text), type });
    } catch {
      return failure({ reason: "assets-invalid", detail: `the part "${hash}" is not base64` });
    }
  }
  return storeFiles(c, ticket, files);
}

/** POST …/assets/upload/{hash}: one file, as the body. */
export async function uploadFile(c: ControlContext): Promise<Response> {
  const ticket = await ticketOf(c);
  if (ticket === undefined) return failure({ reason: "assets-session-invalid" });
  const bytes = await readCapped(c.req.raw, LIMITS.assets.maxAssetBytes);
  if (bytes === undefined)
    return failure({ reason: "body-too-large", limitBytes: LIMITS.assets.maxAssetBytes });
  const type = c.req.header("Content-Type") ?? NO_TYPE;
  return storeFiles(c, ticket, [{ hash: c.req.param("hash") ?? "", bytes, type }]);
}

/** The ticket that the request carries. Checked before the body is read. */
function ticketOf(c: ControlContext): Promise<Ticket | undefined> {
  const signed = /^Bearer (.+)$/i.exec(c.req.header("Authorization") ?? "")?.[1] ?? "";
  return verifyTicket(c.env, "assets", signed);
}

/** Throws where the text is not base64. */
function fromBase64(text: string): Uint8Array {
  return (Uint8Array as unknown as { fromBase64(text: string): Uint8Array }).fromBase64(text);
}

async function storeFiles(
  c: ControlContext,
  { worker, id }: Ticket,
  files: readonly SentFile[],
): Promise<Response> {
  const registry = registryOf(c.env, worker);
  const hashes = files.map(({ hash }) => hash);
  const session = await registry.assetSession(id, hashes);
  if (session === undefined) return failure({ reason: "assets-session-invalid" });
  const checked = checkFiles(session, files);
  if (!checked.ok) return failure(checked.error);
  const keys = hashes.map((hash) => session.folder + hash);
  await Promise.all(
    files.map(({ bytes, type }, i) => {
      const metadata: AssetMetadata = { contentType: type.startsWith(NO_TYPE) ? null : type };
      return c.env.SLUICE_KV.put(keys[i] as string, bytes, { metadata });
    }),
  );
  const left = await registry.addAssets(id, hashes);
  if (left === undefined) {
    // The Worker was deleted or the session ended while the files were stored: nothing refers to them.
    await Promise.all(keys.map((key) => c.env.SLUICE_KV.delete(key)));
    return failure({ reason: "assets-session-invalid" });
  }
  return left > 0 ? success({}, {}, 202) : success({ jwt: await ticketFor(c, worker, session) }, {}, 201);
}

function checkFiles({ sizes }: AnnouncedFiles, files: readonly SentFile[]): Result<null, SluiceError> {
  for (const { hash, bytes } of files) {
    const size = sizes[hash];
    if (size === undefined) {
      return err({
        reason: "assets-invalid",
        detail: `the file with the hash ${hash} is not in the manifest`,
      });
    }
    if (size !== bytes.byteLength) {
      const detail = `the file with the hash ${hash} has ${bytes.byteLength} bytes, but ${size} in the manifest`;
      return err({ reason: "assets-invalid", detail });
    }
  }
  return ok(null);
}
