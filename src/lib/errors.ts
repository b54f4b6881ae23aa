/**
 * Every reason for a refusal, with the data that explains it. control/codes.ts gives each a status, a Cloudflare code and
 * a message: a reason without a row there does not compile.
 */
export type SluiceError =
  | { readonly reason: "unauthorized"; readonly detail: string }
  | { readonly reason: "forbidden"; readonly role: string }
  | { readonly reason: "token-exists"; readonly name: string }
  | { readonly reason: "token-not-found"; readonly id: string }
  | { readonly reason: "no-route"; readonly method: string; readonly path: string }
  | { readonly reason: "worker-name-invalid"; readonly worker: string }
  | { readonly reason: "worker-not-found"; readonly worker: string }
  | { readonly reason: "version-not-found"; readonly worker: string; readonly version: string }
  | { readonly reason: "deployment-not-found"; readonly worker: string; readonly deployment: string }
  | { readonly reason: "no-deployment"; readonly worker: string }
  | { readonly reason: "secret-not-found"; readonly worker: string; readonly name: string }
  | { readonly reason: "body-invalid"; readonly detail: string }
  | { readonly reason: "body-too-large"; readonly limitBytes: number }
  | { readonly reason: "upload-invalid"; readonly detail: string }
  | { readonly reason: "version-too-large"; readonly detail: string }
  | { readonly reason: "startup-failed"; readonly message: string }
  | { readonly reason: "inherit-missing"; readonly names: readonly string[] }
  | { readonly reason: "deployment-invalid"; readonly detail: string }
  | { readonly reason: "unsupported"; readonly feature: string; readonly advice: string }
  | { readonly reason: "resource-not-found"; readonly kind: ResourceKind; readonly id: string }
  | { readonly reason: "resource-exists"; readonly kind: ResourceKind; readonly name: string }
  | { readonly reason: "key-not-found"; readonly key: string }
  | { readonly reason: "storage-refused"; readonly detail: string }
  | { readonly reason: "bucket-not-empty"; readonly bucket: string }
  | { readonly reason: "object-not-found"; readonly key: string }
  | { readonly reason: "consumer-exists"; readonly queue: string; readonly worker: string }
  | { readonly reason: "consumer-not-found"; readonly queue: string; readonly consumer: string }
  | { readonly reason: "query-failed"; readonly detail: string }
  | { readonly reason: "service-not-found"; readonly name: string; readonly service: string }
  | {
      readonly reason: "class-not-found";
      readonly name: string;
      readonly class_name: string;
      readonly worker: string;
    }
  | { readonly reason: "class-not-exported"; readonly classes: readonly string[] }
  | { readonly reason: "migration-invalid"; readonly detail: string }
  | { readonly reason: "migration-in-version" }
  | { readonly reason: "script-in-version" }
  | { readonly reason: "before-migration"; readonly worker: string; readonly version: string }
  | { readonly reason: "latest-not-deployed"; readonly worker: string }
  | {
      readonly reason: "split-protected";
      readonly worker: string;
      readonly versions: readonly { readonly version_id: string; readonly percentage: number }[];
    }
  | { readonly reason: "rollout-active"; readonly worker: string; readonly id: string }
  | { readonly reason: "rollout-not-found"; readonly worker: string; readonly id: string }
  | { readonly reason: "rollout-invalid"; readonly detail: string }
  | {
      readonly reason: "rollout-smoke-failed";
      readonly version: string;
      /** Method and path. */
      readonly request: string;
      readonly why: string;
    }
  | { readonly reason: "rollout-state"; readonly id: string; readonly detail: string }
  | { readonly reason: "secrets-changed"; readonly names: readonly string[] }
  | { readonly reason: "assets-session-invalid" }
  | { readonly reason: "assets-invalid"; readonly detail: string }
  | { readonly reason: "route-taken"; readonly pattern: string; readonly worker: string }
  | { readonly reason: "domain-taken"; readonly hostname: string; readonly worker: string }
  | { readonly reason: "domain-not-found"; readonly id: string }
  | { readonly reason: "route-not-found"; readonly id: string }
  | { readonly reason: "cron-invalid"; readonly detail: string }
  | { readonly reason: "tail-not-found"; readonly id: string }
  | { readonly reason: "changed-meanwhile"; readonly worker: string }
  | { readonly reason: "code-unavailable"; readonly version: string }
  | { readonly reason: "version-unloadable"; readonly worker: string; readonly why: string }
  | {
      readonly reason: "version-quarantined";
      readonly worker: string;
      readonly version: string;
      readonly why: string;
    }
  | { readonly reason: "validator-unavailable"; readonly detail: string };

/** What Workers can be bound to that the account lists. */
export type ResourceKind = "kv" | "r2" | "d1" | "queue";
