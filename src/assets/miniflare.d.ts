/** Cloudflare's own asset server and the router in front of it, as Miniflare ships them: the parts that Sluice uses. */
declare module "miniflare/dist/src/workers/assets/assets.worker.js" {
  import { WorkerEntrypoint } from "cloudflare:workers";

  export class AssetWorkerInner extends WorkerEntrypoint<{ CONFIG: object }> {
    override fetch(request: Request): Promise<Response>;
    /** Whether there is a file or redirect to serve. A page in place of a missing file counts only if rules route to it. */
    unstable_canFetch(request: Request): Promise<boolean>;
    /** Content hash of a file by its decoded path. */
    unstable_exists(pathname: string): Promise<string | null>;
    unstable_getByETag(hash: string): Promise<{
      readonly readableStream: ReadableStream;
      readonly contentType: string | undefined;
      readonly cacheStatus: "HIT" | "MISS";
    }>;
  }
}

declare module "miniflare/dist/src/workers/assets/router.worker.js" {
  import { WorkerEntrypoint } from "cloudflare:workers";

  export class RouterInnerEntrypoint extends WorkerEntrypoint<object> {
    override fetch(request: Request): Promise<Response>;
  }
}
