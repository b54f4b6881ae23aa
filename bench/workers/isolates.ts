/** (c) Sluice's router, versions in isolates of their own. */
import { createRouter } from "../../src/router/index.ts";
import { AssetStore } from "../../src/versions/assets/index.ts";
import { IsolateSource } from "../../src/versions/sources/isolate.ts";

export default createRouter<{ KV: KVNamespace; LOADER: WorkerLoader }>((env) => ({
  deployments: env.KV,
  source: new IsolateSource({
    loader: env.LOADER,
    kv: env.KV,
    build: "bench",
    open: () => undefined,
    assets: new AssetStore(env.KV, async () => []),
    collect: () => {
      throw new Error("nobody watches here");
    },
    tidy: async () => {},
  }),
  workerOf: () => "bench",
}));
