/** What a version, a deployment and a Worker consist of. */
import type { Binding } from "./binding-types.ts";

/** A version's share of a deployment. */
export interface Share {
  readonly version_id: string;
  /** Number of the version, from 1. The higher one of a deployment is the candidate. */
  readonly number: number;
  /** 0 to 100, at most three decimals. */
  readonly percentage: number;
}

/** A source of the request key. The key header takes precedence over all of them. */
export type AffinitySource =
  | { readonly type: "header"; readonly name: string }
  | { readonly type: "cookie"; readonly name: string }
  /** A cookie that Sluice sets where the request has none, so it is always the last source. Age in seconds. */
  | { readonly type: "issued_cookie"; readonly name: string; readonly max_age: number }
  /** The client's address, from a trusted header. */
  | { readonly type: "address" };

export type Affinity = readonly AffinitySource[];

/** Who made a version or a deployment. */
export interface Author {
  readonly id: string;
  readonly email: string;
}

/** The client it was made with. `dash` is Cloudflare's name for the dashboard. */
export type Source = "wrangler" | "api" | "dash" | "cli";

/** The types of a version's modules, with the names that Worker Loader uses. */
export type ModuleType = "js" | "cjs" | "wasm" | "text" | "data" | "json";

export interface Module {
  readonly name: string;
  readonly type: ModuleType | "sourcemap";
  readonly bytes: Uint8Array;
}

/** A named export of a version: a class or an object with handlers. */
export interface NamedHandler {
  readonly name: string;
  readonly handlers: readonly string[];
}

/** What starting the version once has shown. */
export interface Inspection {
  /** Events that the default export handles, e.g. `["fetch", "scheduled"]`. */
  readonly handlers: readonly string[];
  readonly named_handlers: readonly NamedHandler[];
  readonly has_default: boolean;
  /** Wall time of the start in the validating runtime. */
  readonly startup_time_ms: number;
}

/** The result of starting an upload. */
export type InspectionOutcome =
  | { readonly ok: true; readonly inspection: Omit<Inspection, "startup_time_ms"> }
  | { readonly ok: false; readonly message: string };

/** Reply of the validating process: the outcome and the time it took, or why there is no outcome. */
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
  /** Includes the values of secrets: redact before showing. */
  readonly bindings: readonly Binding[];
  readonly inspection: Inspection;
  /** SHA-256 of the modules, in hex. */
  readonly etag: string;
  readonly size_bytes: number;
  readonly assets: AssetsOfVersion | null;
  /** Preview name that the version was uploaded with. A newer version may have taken it over. */
  readonly alias: string | null;
}

/** Immutable record of which one or two versions serve. The newest deployment is the active one. */
export interface Deployment {
  readonly id: string;
  readonly created_on: string;
  readonly author: Author;
  readonly source: Source;
  readonly triggered_by: "upload" | "secret" | "deployment" | "rollout";
  readonly message: string | null;
  readonly versions: readonly Share[];
}

/** Settings of the Worker, independent of its versions. */
export interface Settings {
  readonly tags: readonly string[] | null;
  readonly logpush: boolean;
  readonly observability: Readonly<Record<string, unknown>> | null;
  /** Whether versions have preview hostnames; null for the same as whether the Worker has its own hostname. */
  readonly previews: boolean | null;
  readonly affinity: Affinity | null;
  readonly expose_version: boolean;
  readonly retention: Retention;
  /** Whether `wrangler deploy` may not replace a split. */
  readonly protect: boolean;
  /** Receivers of notices about rollouts. */
  readonly webhooks: readonly Webhook[];
  /** Versions that must not run. */
  readonly quarantine: readonly Quarantined[];
  /** Events that must not run, the newest last. Those of other code are out of date. */
  readonly held: readonly HeldEvent[];
  /** When everything was released that was held, ISO 8601, UTC; null for never. */
  readonly released: string | null;
}

/** An event that ended the process that ran it, twice (held.ts). */
export interface HeldEvent {
  readonly kind: "message" | "alarm" | "cron";
  /** Names it: the queue and the message's id, the object's class and id, or the expression. */
  readonly what: string;
  /** The code that it did so with. */
  readonly code: string;
  /** ISO 8601, UTC. */
  readonly since: string;
}

/** A version that ended the process that ran it. */
export interface Quarantined {
  readonly version_id: string;
  readonly why: string;
  /** ISO 8601, UTC. */
  readonly since: string;
}

/** How long the assets of a version outlive its deployment. The longer of the two applies. */
export interface Retention {
  /** While the version is among this many newest deployed versions with assets. */
  readonly versions: number;
  readonly hours: number;
}

/** The assets of a version. */
export interface AssetsOfVersion {
  /** KV key of the set. */
  readonly set: string;
  /** Whether the version also has code. */
  readonly has_code: boolean;
}

/** A version whose assets stay reachable for pages that it served. */
export interface Retained {
  readonly version_id: string;
  readonly number: number;
  /** KV key of its assets. */
  readonly set: string;
  /** When that ends, in ms since the epoch; null while the version is active or among the newest. */
  readonly until: number | null;
}

/** Phase of a rollout. The last three are terminal. */
export type Phase =
  | "pending"
  | "running"
  | "holding"
  | "awaiting_approval"
  | "paused"
  | "promoted"
  | "rolled_back"
  | "aborted";

/** Clients that get a rollout's candidate whatever their request key: those with this value in a header or a cookie. */
export interface Cohort {
  readonly type: "header" | "cookie";
  readonly name: string;
  readonly value: string;
}

/** What the process of candidates did in a while: requests that ended, and its processor time. */
export interface CpuSample {
  readonly candidate: number;
  readonly baseline: number;
  /** Requests of others: candidates of other Workers, and previews. */
  readonly other: number;
  readonly cpu_ms: number;
}

/** Which answers count as failures of a client in a rollout, beside 5xx, exceptions and a version that cannot be loaded. */
export interface FailureRules {
  /** Further statuses, 400 to 499. */
  readonly statuses: readonly number[];
  /** An answer that has not begun after this time is a failure. */
  readonly timeout_seconds: number;
  /** Whether a body that breaks off or stalls is a failure. */
  readonly body: boolean;
  /** Dataset of Analytics Engine: each point that a version writes to it is a failure of the client in `indexes[0]`. */
  readonly dataset: string | null;
}

/** A receiver of notices. */
export interface Webhook {
  readonly url: string;
  /** Key that signs the notices; null for no signature. */
  readonly secret: string | null;
  /** `slack` is the format of Slack's incoming webhooks, which many other services accept. */
  readonly format: "json" | "slack";
}

export type IssuedCookie = Extract<AffinitySource, { readonly type: "issued_cookie" }>;

/** The Worker itself. `tag` is its opaque id. */
export interface WorkerState {
  readonly name: string;
  readonly tag: string;
  readonly created_on: string;
  readonly enabled: boolean;
  readonly settings: Settings;
}
