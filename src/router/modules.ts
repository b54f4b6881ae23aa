/** Versions that are modules of the same bundle: dispatch is a function call. */
import { log } from "../lib/log.ts";
import { type VersionHandler, type VersionSource, VersionUnavailable } from "./ports.ts";

/** A version's module: what a Worker's main module exports. */
export interface VersionModule {
  readonly default: {
    fetch(request: Request, env: never, ctx: ExecutionContext): Promise<Response> | Response;
  };
}

/** @param modules the bundled modules by version id, as the deployment record names them */
export function moduleSource(modules: Readonly<Record<string, VersionModule>>): VersionSource {
  const handlers = new Map<string, VersionHandler>();
  for (const [version, module] of Object.entries(modules)) {
    const main = module.default;
    handlers.set(version, (request, env, ctx) => main.fetch(request, env as never, ctx));
  }
  const reported = new Set<string>();
  return {
    ready: (version) => handlers.get(version),
    load: (worker, version) => {
      const why = "it is not in the bundle";
      if (!reported.has(version)) log("error", "version-unavailable", { worker, version, why });
      reported.add(version);
      return Promise.reject(new VersionUnavailable(version, why));
    },
  };
}
