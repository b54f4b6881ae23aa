/** The settings that all workerd processes of a server share. */
import type { ServeConfig } from "./config.ts";

/** Compatibility date of Sluice's own Workers: the date of the runtime. Each version has a date of its own. */
export const COMPATIBILITY_DATE = "2026-11-17";

/**
 * In workerd, objects made for a request survive V8's minor collections, and V8 sees only a small part of their size.
 * With V8's defaults, 1,200 deployments left 180 MiB of garbage. With these flags major collections start early, and it
 * was 50 MiB. No cost per request could be measured: docs/performance.md.
 */
export const V8_FLAGS = [
  "--max-semi-space-size=1",
  "--initial-old-space-size=4",
  "--heap-growing-percent=20",
];

/** How long requests may take to finish after SIGTERM, in ms. */
export const DRAIN_MS = 30_000;

/** The bindings of every process that serves traffic. */
export function trafficBindings(config: ServeConfig, build: string): Record<string, string> {
  return {
    SLUICE_DOMAIN: config.domain,
    SLUICE_ADDRESS_HEADER: config.addressHeader,
    SLUICE_CONTROL_HOST: "",
    SLUICE_BUILD: build,
  };
}

/** How the control process reaches the traffic processes, and they reach it. */
export interface Followers {
  /** The address of each traffic process, by the name of its binding. */
  readonly addresses: Readonly<Record<string, string>>;
  /** Paths of the control process's sockets: for its KV, and for the bindings of versions. */
  readonly replica: string;
  readonly remote: string;
}
