/** Cloudflare's asset server, reading Sluice's files. */
import { AssetWorkerInner } from "miniflare/dist/src/workers/assets/assets.worker.js";
import type { AssetFile } from "./types.ts";

export interface OpenedFile {
  readonly size: number;
  readonly contentType: string | undefined;
  readonly bytes?: Uint8Array;
  readonly stream?: ReadableStream;
}

/** One per request. */
export class Server extends AssetWorkerInner {
  readonly #files: ReadonlyMap<string, AssetFile>;
  readonly #open: (hash: string) => Promise<OpenedFile>;
  /** The file that it served, if any. */
  file: OpenedFile | undefined;

  constructor(
    ctx: ExecutionContext,
    env: { CONFIG: object },
    files: ReadonlyMap<string, AssetFile>,
    open: (hash: string) => Promise<OpenedFile>,
  ) {
    super(ctx, env);
    this.#files = files;
    this.#open = open;
  }

  override async unstable_exists(pathname: string): Promise<string | null> {
    return this.#files.get(pathname)?.[0] ?? null;
  }

  override async unstable_getByETag(hash: string) {
    this.file = await this.#open(hash);
    const { contentType, bytes, stream } = this.file;
    // The server only makes a response of this, so bytes work too, and give the response a length.
    return { readableStream: (bytes ?? stream) as ReadableStream, contentType, cacheStatus: "HIT" as const };
  }
}
