/** The assets of an upload: from its metadata to a set that versions refer to. */

import { parseHeaders, parseRedirects } from "../../assets/rules.ts";
import type { StoredAssets } from "../../assets/types.ts";
import { utf8 } from "../../lib/bytes.ts";
import type { Env } from "../../lib/env.ts";
import type { SluiceError } from "../../lib/errors.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Rpc } from "../../lib/rpc.ts";
import { sha256Hex } from "../../lib/secrets.ts";
import type { WorkerRegistry } from "../../registry/index.ts";
import { ASSETS_ONLY_MODULE } from "../../versions/names.ts";
import type { AssetsOfVersion, Version } from "../../versions/types.ts";
import type { UploadMetadata } from "../schemas.ts";
import { verifyTicket } from "../tickets.ts";
import type { AssetsDraft, Destination, Draft } from "./draft.ts";

/** A set to store with its version; `json` is null where it is stored already. */
export interface PreparedAssets {
  readonly of: AssetsOfVersion;
  readonly json: string | null;
}

type Registry = Rpc<WorkerRegistry>;

export function readAssets({
  assets,
  keep_assets,
}: UploadMetadata): Result<AssetsDraft | "keep" | null, SluiceError> {
  if (!assets) return ok(keep_assets ? "keep" : null);
  const {
    html_handling = "auto-trailing-slash",
    not_found_handling = "none",
    base_path = "/",
    run_worker_first = false,
    _headers = "",
    _redirects = "",
  } = assets.config ?? {};
  const invalid = (detail: string) => err({ reason: "assets-invalid", detail } as const);
  const headers = parseHeaders(_headers);
  if (!headers.ok) return invalid(`in _headers, ${headers.error}`);
  const redirects = parseRedirects(_redirects, html_handling);
  if (!redirects.ok) return invalid(`in _redirects, ${redirects.error}`);
  if (typeof run_worker_first === "object" && !run_worker_first.some((rule) => rule.startsWith("/"))) {
    return invalid(
      "in run_worker_first, no rule says which paths reach the Worker first; add one that begins with /",
    );
  }
  return ok({
    ticket: assets.jwt,
    config: {
      html_handling,
      not_found_handling,
      base_path,
      run_worker_first,
      headers: headers.value,
      redirects: redirects.value,
    },
  });
}

/** What the version will record about its assets; null where it has none. Stores nothing. */
export async function prepareAssets(
  { env, registry, worker }: Pick<Destination, "env" | "registry" | "worker">,
  draft: Draft,
  latest: Version | undefined,
): Promise<Result<PreparedAssets | null, SluiceError>> {
  const { assets, main_module, compatibility_date, compatibility_flags } = draft;
  if (assets === null) return ok(null);
  const has_code = main_module !== ASSETS_ONLY_MODULE;
  if (assets === "keep") {
    const kept = latest?.assets ?? null;
    return ok(kept && { of: { set: kept.set, has_code }, json: null });
  }
  const ticket = await verifyTicket(env, "assets", assets.ticket);
  if (ticket?.worker !== worker) return err({ reason: "assets-session-invalid" });
  const session = await registry.claimAssets(ticket.id);
  if (session === undefined) return err({ reason: "assets-session-invalid" });
  const { folder, manifest, missing } = session;
  if (missing.length > 0) {
    const detail = `${missing.length} of the files were not uploaded, for example the file with the hash ${missing[0]}`;
    return err({ reason: "assets-invalid", detail });
  }
  const stored: StoredAssets = {
    folder,
    config: { ...assets.config, compatibility_date, compatibility_flags },
    files: manifest,
  };
  const json = JSON.stringify(stored);
  const set = `${folder}set-${await sha256Hex(utf8(json))}`;
  return ok({ of: { set, has_code }, json });
}

/** Call it after the version was validated and before it is recorded. */
export async function storeAssets(
  { SLUICE_KV }: Env,
  registry: Registry,
  { of: { set }, json }: PreparedAssets,
): Promise<void> {
  if (json === null) return;
  // The registry learns the key first: if this process dies in between, deleting the Worker deletes the key.
  await registry.addAssetSet(set);
  await SLUICE_KV.put(set, json);
}
