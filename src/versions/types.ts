import type { AssetsOfVersion, Retained } from "../assets/types.ts";
import type { Webhook } from "../rollout/notify.ts";
import type { WatchedRollout } from "../rollout/records.ts";
import type { Phase } from "../rollout/types.ts";

/** One version's part of a deployment. */
export interface Share {
  readonly version_id: string;
  /** Counts the Worker's versions from 1; the higher one of a deployment is the candidate. */
  readonly number: number;
  /** 0 to 100, at most three decimals. */
  readonly percentage: number;
}

/**
 * The active deployment as the router reads it from KV, key `deployment/<worker>`. Self-contained: a request is
 * routed without another read.
 */
export interface DeploymentRecord {
  readonly schema: 1;
  readonly worker: string;
  /** Grows by one with every change of this record, and never restarts, not even when the Worker is deleted. */
  readonly revision: number;
  readonly deployment_id: string;
  /** Whether `<worker>.<domain>` serves (wrangler's `workers_dev`). */
  readonly enabled: boolean;
  /** One or two shares, in the order in which the operator gave them. */
  readonly versions: readonly Share[];
  /** The Worker's Durable Object classes by the ids of their namespaces; absent where it has none. */
  readonly classes?: Readonly<Record<string, string>>;
  /** Whether single versions are served at hostnames of their own. */
  readonly previews?: boolean;
  /** Where requests carry their key, in order; absent for the key header and the client's address. */
  readonly affinity?: Affinity;
  /** Whether responses say which version made them. */
  readonly expose_version?: boolean;
  /** Versions with assets that pages may still refer to, in the order in which to look; absent where there are none. */
  readonly retained?: readonly Retained[];
  /** The rollout that is under way; absent where there is none. */
  readonly rollout?: WatchedRollout;
}

/** What lists of Workers show, beside each record in KV: as of the same revision. Times are ISO 8601 in UTC. */
export interface WorkerSummary {
  readonly revision: number;
  readonly enabled: boolean;
  readonly created_on: string;
  /** When the active deployment was made. */
  readonly deployed_on: string;
  readonly deployment_id: string;
  readonly versions: readonly Share[];
  /** The newest rollout; null where there never was one. */
  readonly rollout: { readonly id: string; readonly phase: Phase } | null;
}

/** Something that was done to a Worker, with who did it. */
export interface AuditEntry {
  readonly seq: number;
  /** ISO 8601 in UTC. */
  readonly time: string;
  readonly author: Author;
  readonly source: Source;
  readonly action: AuditAction;
  /** What it was about; secrets are named, never shown. */
  readonly detail: Readonly<Record<string, unknown>>;
}

export type AuditAction = "version" | "deployment" | "rollout" | "settings" | "triggers" | "delete";

/** Where a request may carry its key. The key header comes before all of them. */
export type AffinitySource =
  | { readonly type: "header"; readonly name: string }
  | { readonly type: "cookie"; readonly name: string }
  /** A cookie that Sluice sets itself where there is none. Nothing can come after it. Age in seconds. */
  | { readonly type: "issued_cookie"; readonly name: string; readonly max_age: number }
  /** The client's address, where a trusted header carries it. */
  | { readonly type: "address" };

export type Affinity = readonly AffinitySource[];

/** Custom domains and routes of all Workers as the router reads them from KV, key `routes`. */
export interface RoutesRecord {
  readonly schema: 1;
  /** Grows by one with every change. */
  readonly revision: number;
  /** Worker by hostname. */
  readonly domains: Readonly<Record<string, string>>;
  readonly routes: readonly { readonly pattern: string; readonly worker: string }[];
}

/** The version behind a hostname of its own, as the router reads it from KV, key `preview/<label>`. */
export interface PreviewRecord {
  readonly worker: string;
  readonly version_id: string;
}

/** Who made a version or a deployment, and with what. */
export interface Author {
  readonly id: string;
  readonly email: string;
}

/** `dash` is the dashboard, as Cloudflare calls it. */
export type Source = "wrangler" | "api" | "dash";

/** A binding as it is stored: resolved, so never `inherit`. */
export type Binding =
  | { readonly type: "plain_text"; readonly name: string; readonly text: string }
  | { readonly type: "json"; readonly name: string; readonly json: unknown }
  | { readonly type: "secret_text"; readonly name: string; readonly text: string }
  | { readonly type: "version_metadata"; readonly name: string }
  | { readonly type: "kv_namespace"; readonly name: string; readonly namespace_id: string }
  | ObjectsBindingRecord
  | { readonly type: "r2_bucket"; readonly name: string; readonly bucket_name: string }
  | {
      readonly type: "queue";
      readonly name: string;
      readonly queue_name: string;
      /** Seconds. */
      readonly delivery_delay?: number | undefined;
    }
  | { readonly type: "analytics_engine"; readonly name: string; readonly dataset?: string | undefined }
  | {
      readonly type: "ratelimit";
      readonly name: string;
      readonly namespace_id: string;
      /** Period in seconds. */
      readonly simple: { readonly limit: number; readonly period: number };
    }
  | { readonly type: "d1"; readonly name: string; readonly id: string }
  | { readonly type: "assets"; readonly name: string }
  | {
      readonly type: "service";
      readonly name: string;
      readonly service: string;
      readonly entrypoint?: string | undefined;
      readonly props?: Readonly<Record<string, unknown>> | undefined;
    };

export interface ObjectsBindingRecord {
  readonly type: "durable_object_namespace";
  readonly name: string;
  readonly class_name: string;
  /** The Worker that has the class, where it is not the one that has the binding. */
  readonly script_name?: string | undefined;
  readonly namespace_id: string;
}

/** A message as its sender gives it. Size in bytes, 0 where it is not known; delay in seconds. */
export interface QueuedMessage {
  readonly type: string;
  readonly body: unknown;
  readonly size: number;
  readonly delay: number;
}

/** What waits in a queue. */
export interface QueueMetrics {
  readonly backlogCount: number;
  readonly backlogBytes: number;
  readonly oldestMessageTimestamp?: Date;
}

/** A batch on its way to a consumer. */
export interface DeliveredBatch {
  readonly id: string;
  readonly queue: string;
  readonly messages: readonly {
    readonly id: string;
    readonly timestamp: Date;
    readonly attempts: number;
    readonly type: string;
    readonly body: unknown;
  }[];
  readonly metrics: QueueMetrics;
}

/** A run of a cron trigger, with the time that it is for in ms since the epoch. */
export interface ScheduledRun {
  readonly cron: string;
  readonly time: number;
}

/** A data point of Analytics Engine. */
export interface DataPoint {
  readonly indexes: readonly string[];
  readonly blobs: readonly string[];
  readonly doubles: readonly number[];
}

/** What an object of a bucket is known by. Size in bytes. */
export interface R2Meta {
  readonly key: string;
  readonly version: string;
  readonly size: number;
  readonly etag: string;
  readonly httpEtag: string;
  readonly uploaded: Date;
  readonly checksums: Readonly<Partial<Record<"md5" | "sha1" | "sha256" | "sha384" | "sha512", ArrayBuffer>>>;
  readonly httpMetadata: R2HttpMetadata | undefined;
  readonly customMetadata: Readonly<Record<string, string>> | undefined;
  readonly range:
    | { readonly offset?: number; readonly length?: number; readonly suffix?: number }
    | undefined;
  readonly storageClass: string;
}

export interface R2HttpMetadata {
  readonly contentType?: string;
  readonly contentLanguage?: string;
  readonly contentDisposition?: string;
  readonly contentEncoding?: string;
  readonly cacheControl?: string;
  readonly cacheExpiry?: Date;
}

/** What SQLite takes and gives. */
export type D1Value = string | number | null | ArrayBuffer;

export interface D1Query {
  readonly sql: string;
  readonly params: readonly D1Value[];
}

/** What a query came to. Times in ms, sizes in bytes. */
export interface D1Outcome {
  readonly columns: string[];
  readonly rows: D1Value[][];
  readonly meta: D1Meta;
}

export interface D1Meta {
  readonly served_by: string;
  readonly served_by_primary: boolean;
  readonly total_attempts: number;
  readonly timings: { readonly sql_duration_ms: number };
  readonly duration: number;
  readonly changes: number;
  readonly last_row_id: number;
  readonly changed_db: boolean;
  readonly size_after: number;
  readonly rows_read: number;
  readonly rows_written: number;
}

/** Header in which a version's client says which object its request is for. */
export const OBJECT_HEADER = "sluice-object";

/** A binding as far as its client in the version has to know it. */
export interface ClientBinding {
  readonly type: string;
  readonly name: string;
}

/** Takes the value of a binding from the Worker's latest version. */
export interface InheritBinding {
  readonly type: "inherit";
  readonly name: string;
  /** Name of the binding there, where it differs. */
  readonly old_name?: string | undefined;
}

/** A binding as it comes: what it refers to is not looked up yet. */
export type UploadedBinding =
  | Exclude<Binding, ObjectsBindingRecord>
  | Omit<ObjectsBindingRecord, "namespace_id">
  | InheritBinding;

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

/** What the control process tells a process that serves traffic in its stead. */
export type FollowerMessage =
  | { readonly type: "prepare"; readonly worker: string; readonly versions: readonly string[] }
  | { readonly type: "publish"; readonly worker: string; readonly record: DeploymentRecord | null }
  | { readonly type: "routes"; readonly record: RoutesRecord }
  /** Whether somebody watches the Worker's events. */
  | { readonly type: "tail"; readonly worker: string; readonly on: boolean }
  /** Send what has been counted, now. */
  | { readonly type: "flush" }
  /** Unload what is due, now. */
  | { readonly type: "sweep" }
  /** See to it that what will be due is unloaded then. */
  | { readonly type: "tidy" };

/** What that answers: why versions cannot be prepared, null for no reason. */
export interface FollowerReply {
  readonly why: string | null;
}
