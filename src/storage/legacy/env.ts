import type { Env } from "../../lib/env.ts";

/** The bindings of the Worker that carries over. */
export interface LegacyEnv extends Env {
  /** `LegacyKv`, on the old folder. */
  readonly LEGACY_KV: DurableObjectNamespace;
  /** `LegacyR2`, on the old folder. */
  readonly LEGACY_R2: DurableObjectNamespace;
  /** The old folders as disk services: values and contents are files of theirs. */
  readonly LEGACY_KV_BLOBS: Fetcher;
  readonly LEGACY_R2_BLOBS: Fetcher;
}
