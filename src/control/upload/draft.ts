/** An upload after it was read and checked, and before it is recorded. */

import type { AssetsConfig } from "../../assets/types.ts";
import type { Env } from "../../lib/env.ts";
import type { Rpc } from "../../lib/rpc.ts";
import type { WorkerRegistry } from "../../registry/index.ts";
import type { Actor } from "../../registry/types.ts";
import type { UploadedBinding } from "../../versions/binding-types.ts";
import type { Migrations } from "../../versions/classes.ts";
import type { Module, Settings } from "../../versions/types.ts";

/** A version as uploaded: its `inherit` bindings are not resolved, and its code has not been started. */
export interface Draft {
  readonly main_module: string;
  readonly modules: readonly Module[];
  readonly compatibility_date: string;
  readonly compatibility_flags: readonly string[];
  readonly bindings: readonly UploadedBinding[];
  readonly keep_bindings: readonly string[];
  readonly message: string | null;
  readonly tag: string | null;
  readonly settings: Partial<Settings>;
  readonly migrations: Migrations | null;
  /** "keep" for the assets of the previous version. */
  readonly assets: AssetsDraft | "keep" | null;
  readonly alias: string | null;
}

/** The assets that an upload names: the ticket for their files, and how they are served. */
export interface AssetsDraft {
  readonly ticket: string;
  readonly config: Omit<AssetsConfig, "compatibility_date" | "compatibility_flags">;
}

/** Which Worker a version is for, and who sends it. */
export interface Destination {
  readonly env: Env;
  readonly registry: Rpc<WorkerRegistry>;
  readonly worker: string;
  readonly actor: Actor;
}
