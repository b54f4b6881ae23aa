/** The types of a version's bindings: as uploaded, as stored, and as the version's own clients see them. */

/** A stored binding. `inherit` is already resolved. */
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
      /** In seconds. */
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

interface ObjectsBindingRecord {
  readonly type: "durable_object_namespace";
  readonly name: string;
  readonly class_name: string;
  /** The Worker that has the class; absent where that is the Worker with the binding. */
  readonly script_name?: string | undefined;
  readonly namespace_id: string;
}

/** What the client of a binding in the version needs to know about it. */
export interface ClientBinding {
  readonly type: string;
  readonly name: string;
}

/** Takes the value of a binding in the Worker's latest version. */
export interface InheritBinding {
  readonly type: "inherit";
  readonly name: string;
  /** Name of the binding in that version; absent where it is the same. */
  readonly old_name?: string | undefined;
}

/** A binding as uploaded: what it refers to has not been looked up yet. */
export type UploadedBinding =
  | Exclude<Binding, ObjectsBindingRecord>
  | Omit<ObjectsBindingRecord, "namespace_id">
  | InheritBinding;
