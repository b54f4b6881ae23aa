import type { Binding } from "./binding-types.ts";

/** One version's part of a deployment. */
export interface Share {
  readonly version_id: string;
  /** Counts the Worker's versions from 1; the higher one of a deployment is the candidate. */
  readonly number: number;
  /** 0 to 100, at most three decimals. */
  readonly percentage: number;
}

/** Where a request may carry its key. The key header comes before all of them. */
export type AffinitySource =
  | { readonly type: "header"; readonly name: string }
  | { readonly type: "cookie"; readonly name: string }
  /** A cookie that Sluice sets itself where there is none. Nothing can come after it. Age in seconds. */
  | { readonly type: "issued_cookie"; readonly name: string; readonly max_age: number }
  /** The client's address, where a trusted header carries it. */
  | { readonly type: "address" };

export type Affinity = readonly AffinitySource[];

/** Who made a version or a deployment, and with what. */
export interface Author {
  readonly id: string;
  readonly email: string;
}

/** `dash` is the dashboard, as Cloudflare calls it. */
export type Source = "wrangler" | "api" | "dash";

/** The module types that a version can be made of, named as Worker Loader names them. */
export type ModuleType = "js" | "cjs" | "wasm" | "text" | "data" | "json";

export interface Module {
  readonly name: string;
  readonly type: ModuleType | "sourcemap";
  readonly bytes: Uint8Array;
}

/** A class or object that a version exports beside its default. */
export interface NamedHandler {
  readonly name: string;
  readonly handlers: readonly string[];
}

/** What was learned by starting the version once. */
export interface Inspection {
  /** Events that the default export handles, e.g. `["fetch", "scheduled"]`. */
  readonly handlers: readonly string[];
  readonly named_handlers: readonly NamedHandler[];
  readonly has_default: boolean;
  /** Wall time of the start in the validating runtime. */
  readonly startup_time_ms: number;
}

/** What starting an upload came to. */
export type InspectionOutcome =
  | { readonly ok: true; readonly inspection: Omit<Inspection, "startup_time_ms"> }
  | { readonly ok: false; readonly message: string };

/** Reply of the validating process: an outcome and the time it took, or why there is none. */
export type ValidatorReply =
  | (InspectionOutcome & { readonly startup_time_ms: number })
  | { readonly fault: string };

/** Immutable code and configuration, as recorded in the registry. Times are ISO 8601 in UTC with milliseconds. */
export interface Version {
  readonly id: string;
  readonly number: number;
  readonly created_on: string;
  readonly author: Author;
  readonly source: Source;
  readonly triggered_by: "upload" | "version_upload" | "secret";
  readonly message: string | null;
  readonly tag: string | null;
  readonly main_module: string;
  readonly compatibility_date: string;
  readonly compatibility_flags: readonly string[];
  /** With the secrets' values: redact before showing. */
  readonly bindings: readonly Binding[];
  readonly inspection: Inspection;
  /** SHA-256 of the modules, in hex. */
  readonly etag: string;
  readonly size_bytes: number;
  readonly assets: AssetsOfVersion | null;
  /** Name under which the version was to be previewed; a newer version may have it by now. */
  readonly alias: string | null;
}

/** Immutable record of which one or two versions serve. The newest one is the active deployment. */
export interface Deployment {
  readonly id: string;
  readonly created_on: string;
  readonly author: Author;
  readonly source: Source;
  readonly triggered_by: "upload" | "secret" | "deployment" | "rollout";
  readonly message: string | null;
  readonly versions: readonly Share[];
}

/** What belongs to the Worker and not to a version. */
export interface Settings {
  readonly tags: readonly string[] | null;
  readonly logpush: boolean;
  readonly observability: Readonly<Record<string, unknown>> | null;
  /** Whether versions have hostnames of their own; null for as long as the Worker has one. */
  readonly previews: boolean | null;
  readonly affinity: Affinity | null;
  readonly expose_version: boolean;
  readonly retention: Retention;
  /** Whether `wrangler deploy` may not replace a split. */
  readonly protect: boolean;
  /** Who hears of rollouts. */
  readonly webhooks: readonly Webhook[];
}

/** How long the assets of a version outlive its deployment: whichever of the two is longer. */
export interface Retention {
  /** While this many deployed versions with assets are not newer. */
  readonly versions: number;
  readonly hours: number;
}

/** What a version says about its assets. */
export interface AssetsOfVersion {
  /** KV key of the set. */
  readonly set: string;
  /** Whether the version has code of its own beside them. */
  readonly has_code: boolean;
}

/** A version whose files may still be asked for by pages that it made. */
export interface Retained {
  readonly version_id: string;
  readonly number: number;
  /** KV key of its assets. */
  readonly set: string;
  /** When that ends, in ms since the epoch; null while the version is among the newest. */
  readonly until: number | null;
}

export type Phase =
  | "pending"
  | "running"
  | "holding"
  | "awaiting_approval"
  | "paused"
  | "promoted"
  | "rolled_back"
  | "aborted";

/** Where notices go. */
export interface Webhook {
  readonly url: string;
  /** Signs what is sent; null for no signature. */
  readonly secret: string | null;
  /** `slack` sends what Slack's incoming webhooks, and many others, take. */
  readonly format: "json" | "slack";
}

export type IssuedCookie = Extract<AffinitySource, { readonly type: "issued_cookie" }>;

/** The one row about the Worker itself. */
export interface WorkerState {
  readonly name: string;
  readonly tag: string;
  readonly created_on: string;
  readonly enabled: boolean;
  readonly settings: Settings;
}
