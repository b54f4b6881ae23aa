/** (c) Sluice's router, versions in isolates of their own. */
import { createRouter } from "../../src/router/index.ts";
import { IsolateSource } from "../../src/versions/sources/isolate.ts";

export default createRouter<{ KV: KVNamespace; LOADER: WorkerLoader }>((env) => ({
  deployments: env.KV,
  source: new IsolateSource(env.LOADER, env.KV, "bench", () => undefined),
  workerOf: () => "bench",
}));
