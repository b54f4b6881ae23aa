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
import { type Claims, signToken, verifyToken } from "../tokens.ts";

/** wrangler's way to say that a file has no type. */
const NO_TYPE = "application/null";

/** POST …/assets-upload-session: which of the files are still to be sent, and with what token. */
export async function openSession(
  c: ControlContext,
  body: z.output<typeof assetsManifest>,
): Promise<Response> {
  const manifest = Object.fromEntries(
    Object.entries(body.manifest).map(([path, { hash, size }]) => [path, [hash, size] as const]),
  );
  const session = await registryFor(c).openAssets(manifest);
  const jwt = await tokenOf(c, workerName(c), session);
  return success({ jwt, buckets: bucketsOf(manifest, session.missing) });
}

function tokenOf(c: ControlContext, worker: string, { id, expires }: Session): Promise<string> {
  return signToken(c.env, { purpose: "assets", worker, id, exp: expires });
}

interface SentFile {
  readonly hash: string;
  readonly bytes: Uint8Array;
  readonly type: string;
}

/** POST …/assets/upload?base64=true: a group of files, each a part whose name is its hash. */
export async function uploadFiles(c: ControlContext): Promise<Response> {
  const claims = await claimsOf(c);
  if (claims === undefined) return failure({ reason: "assets-session-invalid" });
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
  return storeFiles(c, claims, files);
}

/** POST …/assets/upload/{hash}: one file, as it is. */
export async function uploadFile(c: ControlContext): Promise<Response> {
  const claims = await claimsOf(c);
  if (claims === undefined) return failure({ reason: "assets-session-invalid" });
  const bytes = await readCapped(c.req.raw, LIMITS.assets.maxAssetBytes);
  if (bytes === undefined)
    return failure({ reason: "body-too-large", limitBytes: LIMITS.assets.maxAssetBytes });
  const type = c.req.header("Content-Type") ?? NO_TYPE;
  return storeFiles(c, claims, [{ hash: c.req.param("hash") ?? "", bytes, type }]);
}

/** Before anything of the body is read. */
function claimsOf(c: ControlContext): Promise<Claims | undefined> {
  const token = /^Bearer (.+)$/i.exec(c.req.header("Authorization") ?? "")?.[1] ?? "";
  return verifyToken(c.env, "assets", token);
}

/** Throws where it is none. */
function fromBase64(text: string): Uint8Array {
  return (Uint8Array as unknown as { fromBase64(text: string): Uint8Array }).fromBase64(text);
}

async function storeFiles(
  c: ControlContext,
  { worker, id }: Claims,
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
    // The Worker was deleted meanwhile, or the session has ended: nothing refers to them.
    await Promise.all(keys.map((key) => c.env.SLUICE_KV.delete(key)));
    return failure({ reason: "assets-session-invalid" });
  }
  return left > 0 ? success({}, {}, 202) : success({ jwt: await tokenOf(c, worker, session) }, {}, 201);
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
      const detail = `the file with the hash ${hash} has ${bytes.byteLength} bytes, and ${size} in the manifest`;
      return err({ reason: "assets-invalid", detail });
    }
  }
  return ok(null);
}
