/** Cloudflare's asset server, as far as Sluice uses it. */
import { AssetWorkerInner } from "miniflare/dist/src/workers/assets/assets.worker.js";
import type { AssetFile } from "./types.ts";

export interface OpenedFile {
  readonly size: number;
  readonly contentType: string | undefined;
  readonly bytes?: Uint8Array;
  readonly stream?: ReadableStream;
}

/** Cloudflare's asset server for one request, over our files. */
export class Server extends AssetWorkerInner {
  readonly #files: ReadonlyMap<string, AssetFile>;
  readonly #open: (hash: string) => Promise<OpenedFile>;
  /** What it served. */
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
    // Whatever a response can be made of will do, and one made of bytes has a length.
    return { readableStream: (bytes ?? stream) as ReadableStream, contentType, cacheStatus: "HIT" as const };
  }
}
