/** Sluice's router, as the contenders use it. */

import { AssetStore } from "../../src/assets/index.ts";
import { Meter } from "../../src/metrics/meter.ts";
import { createRouter, moduleSource, type RouterOptions } from "../../src/router/index.ts";
import { IsolateSource } from "../../src/runtime/isolates.ts";
import { CANDIDATE, STABLE } from "../input.ts";

interface Env {
  readonly KV: KVNamespace;
  readonly LOADER: WorkerLoader;
}

const router = (options: (env: Env) => Pick<RouterOptions, "source">, isCounted: boolean) =>
  createRouter<Env>((env) => ({
    deployments: env.KV,
    workerOf: () => "bench",
    ...options(env),
    ...(isCounted ? { meter: new Meter(async () => {}) } : {}),
  }));

/** Versions in isolates. */
export const isolates = (isCounted: boolean) =>
  router(
    (env) => ({
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
        outbound: undefined,
      }),
    }),
    isCounted,
  );

const version = (number: number) => ({
  default: { fetch: () => new Response(`Hello from version ${number}\n`) },
});

/** Versions in the router's own bundle. */
export const modules = (isCounted: boolean) =>
  router(() => ({ source: moduleSource({ [STABLE]: version(1), [CANDIDATE]: version(2) }) }), isCounted);
