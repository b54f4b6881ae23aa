/** (d) Sluice's router, versions in its own bundle. */
import { createRouter, moduleSource } from "../../src/router/index.ts";
import { CANDIDATE, STABLE } from "../input.ts";

const version = (number: number) => ({
  default: { fetch: () => new Response(`Hello from version ${number}\n`) },
});

export default createRouter<{ KV: KVNamespace }>((env) => ({
  deployments: env.KV,
  source: moduleSource({ [STABLE]: version(1), [CANDIDATE]: version(2) }),
  workerOf: () => "bench",
}));
