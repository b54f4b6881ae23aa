/** Uploads of assets through the API, as wrangler makes them. */
import { createHash } from "node:crypto";
import { expect } from "vitest";
import { call, type Reply, readEnvelope, type Upload } from "./client.ts";
import type { Server } from "./server.ts";

/** Content by path. */
export type Files = Readonly<Record<string, string | Buffer>>;

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  txt: "text/plain; charset=utf-8",
};

export interface AssetFile {
  readonly hash: string;
  readonly bytes: Buffer;
  readonly type: string;
}

export function assetFile(path: string, content: string | Buffer): AssetFile {
  const bytes = Buffer.from(content);
  const extension = path.split(".").at(-1) ?? "";
  const hash = createHash("sha256").update(bytes).update(extension).digest("hex").slice(0, 32);
  return { hash, bytes, type: TYPES[extension] ?? "application/null" };
}

export function manifestOf(files: Files): Record<string, { hash: string; size: number }> {
  return Object.fromEntries(
    Object.entries(files).map(([path, content]) => {
      const { hash, bytes } = assetFile(path, content);
      return [path, { hash, size: bytes.length }];
    }),
  );
}

export function openSession(server: Server, worker: string, files: Files): Promise<Reply> {
  const path = `/workers/scripts/${worker}/assets-upload-session`;
  return call(server, "POST", path, { manifest: manifestOf(files) });
}

/** Sends one group of files. */
export async function sendFiles(server: Server, token: string, files: readonly AssetFile[]): Promise<Reply> {
  const form = new FormData();
  for (const { hash, bytes, type } of files) {
    form.set(hash, new File([bytes.toString("base64")], hash, { type }));
  }
  const url = `${server.control}/client/v4/accounts/sluice/workers/assets/upload?base64=true`;
  const init = { method: "POST", body: form, headers: { Authorization: `Bearer ${token}` } };
  return readEnvelope(await fetch(url, init));
}

/** Sends what is not there yet. Returns the token for the metadata. */
export async function uploadAssets(server: Server, worker: string, files: Files): Promise<string> {
  const opened = await openSession(server, worker, files);
  expect(opened.errors).toEqual([]);
  const byHash = new Map(
    Object.entries(files).map(([path, content]) => {
      const file = assetFile(path, content);
      return [file.hash, file];
    }),
  );
  let token: string = opened.result.jwt;
  for (const bucket of opened.result.buckets as string[][]) {
    const sent = await sendFiles(
      server,
      opened.result.jwt,
      bucket.map((hash) => byHash.get(hash) as AssetFile),
    );
    expect(sent.errors).toEqual([]);
    token = sent.result.jwt ?? token;
  }
  return token;
}

/** An upload of files, with code where `code` is given. */
export async function withAssets(
  server: Server,
  worker: string,
  files: Files,
  { config = {}, code, bindings = [] }: { config?: object; code?: string; bindings?: readonly object[] } = {},
): Promise<Upload> {
  const assets = { jwt: await uploadAssets(server, worker, files), config };
  if (code === undefined) return { metadata: { main_module: undefined, bindings: undefined, assets } };
  return {
    modules: { "index.js": { content: code } },
    metadata: { assets, bindings: [{ type: "assets", name: "ASSETS" }, ...bindings] },
  };
}
