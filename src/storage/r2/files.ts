/** The files of chunks, in the disk service `R2_CHUNKS`. A file is written once and never changes. */
import type { Env } from "../../lib/env.ts";
import { KEPT } from "./limits.ts";
import type { Range } from "./types.ts";

/** Files are spread over 256 folders by the first two digits of their names, which are random. */
function urlOf(file: string): string {
  return `http://chunks/${file.slice(0, 2)}/${file.slice(2)}`;
}

function diskOf({ R2_CHUNKS }: Env): Fetcher {
  if (R2_CHUNKS === undefined) throw new Error("R2_CHUNKS is not bound: the platform keeps the bucket.");
  return R2_CHUNKS;
}

/** The file appears once all bytes have come; if they fail, there is none. */
export async function writeFile(env: Env, file: string, body: ReadableStream<Uint8Array>): Promise<void> {
  const { ok, status } = await diskOf(env).fetch(urlOf(file), { method: "PUT", body });
  if (!ok) throw new Error(`Writing a chunk failed with status ${status}.`);
}

export async function openFile(
  env: Env,
  file: string,
  { offset, length }: Range,
  size: number,
): Promise<ReadableStream<Uint8Array>> {
  const headers: HeadersInit = length < size ? { Range: `bytes=${offset}-${offset + length - 1}` } : {};
  const { status, body } = await diskOf(env).fetch(urlOf(file), { headers });
  if (body === null || status !== (length < size ? 206 : 200)) {
    await body?.cancel();
    throw new Error(`Reading the chunk ${file} failed with status ${status}.`);
  }
  return body;
}

/** A file that does not exist counts as deleted. */
export async function deleteFiles(
  env: Env,
  files: readonly string[],
): Promise<{ deleted: string[]; failed: string[] }> {
  const deleted: string[] = [];
  const failed: string[] = [];
  const left = [...files];
  const worker = async () => {
    for (let file = left.pop(); file !== undefined; file = left.pop()) {
      const done = await remove(env, file).catch(() => false);
      (done ? deleted : failed).push(file);
    }
  };
  await Promise.all(Array.from({ length: KEPT.deletesAtOnce }, worker));
  return { deleted, failed };
}

async function remove(env: Env, file: string): Promise<boolean> {
  const { ok, status } = await diskOf(env).fetch(urlOf(file), { method: "DELETE" });
  return ok || (status === 404 && removeUnfinished(env, file));
}

/**
 * workerd writes to a hidden file in the same folder (`.<name>.<process>.<number>.tmp`) and then renames it. A process that is
 * killed in between leaves that.
 */
async function removeUnfinished(env: Env, file: string): Promise<boolean> {
  const folder = new URL(".", urlOf(file));
  const listing = await diskOf(env).fetch(folder);
  if (!listing.ok) return listing.status === 404;
  const entries = await listing.json<readonly { readonly name: string }[]>();
  const unfinished = entries.filter(({ name }) => name.startsWith(`.${file.slice(2)}.`));
  const each = unfinished.map(({ name }) => diskOf(env).fetch(new URL(name, folder), { method: "DELETE" }));
  return (await Promise.all(each)).every(({ ok, status }) => ok || status === 404);
}
