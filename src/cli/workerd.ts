/** What every workerd process of a server is started with. */
import type { ServeConfig } from "./config.ts";

/** Compatibility date of Sluice's own Workers: the runtime's own date. Versions have theirs. */
export const COMPATIBILITY_DATE = "2026-11-17";

/**
 * What is made for a request outlives V8's short collections in workerd, and V8 sees little of its size: with V8's own
 * settings, 1,200 deployments left 180 MiB to be collected some day; with these, which make the long collection come
 * early, 50 MiB. They cost a request nothing that could be measured: docs/performance.md.
 */
export const V8_FLAGS = [
  "--max-semi-space-size=1",
  "--initial-old-space-size=4",
  "--heap-growing-percent=20",
];

/** Time that requests get to finish after SIGTERM, in ms. */
export const DRAIN_MS = 30_000;

/** The bindings that every process that serves traffic needs. */
export function trafficBindings(config: ServeConfig, build: string): Record<string, string> {
  return {
    SLUICE_DOMAIN: config.domain,
    SLUICE_ADDRESS_HEADER: config.addressHeader,
    SLUICE_CONTROL_HOST: "",
    SLUICE_BUILD: build,
  };
}

/** What the control process needs to reach them. */
export interface Followers {
  /** Address by the name of its binding. */
  readonly addresses: Readonly<Record<string, string>>;
  /** Paths of its sockets: where they read its KV, and where their versions find what they are bound to. */
  readonly replica: string;
  readonly remote: string;
}
