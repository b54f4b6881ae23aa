import { createRouter, moduleSource } from "../../../src/router/index.ts";
import * as blue from "./versions/blue.ts";
import * as green from "./versions/green.ts";

/** By the version ids in the deployment. */
const versions = {
  "6f1c2f0e-5d0f-4c7e-9a55-0c2b1f6d7a01": blue,
  "b2a90a44-33b5-4b0e-8a3e-7d1f0c9e5b02": green,
};

interface Env {
  readonly DEPLOYMENTS: KVNamespace;
}

export default createRouter<Env>((env) => ({
  deployments: env.DEPLOYMENTS,
  source: moduleSource(versions),
  workerOf: () => "bundled",
}));
