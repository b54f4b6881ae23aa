/** `assets`: the files of the version that has the binding. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Env } from "../../lib/env.ts";
import { isolateSource } from "../../runtime/process.ts";

interface Props {
  readonly worker: string;
  /** KV key of the files. */
  readonly set: string;
}

export class AssetsBinding extends WorkerEntrypoint<Env, Props> {
  override async fetch(request: Request): Promise<Response> {
    const { worker, set } = this.ctx.props;
    const assets = await isolateSource(this.env).assets.load(worker, set);
    return assets.fetch(request, this.ctx);
  }
}
