/** The bindings of a version: as uploaded, as stored, and as the version's own clients know them. */

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

interface ObjectsBindingRecord {
  readonly type: "durable_object_namespace";
  readonly name: string;
  readonly class_name: string;
  /** The Worker that has the class, where it is not the one that has the binding. */
  readonly script_name?: string | undefined;
  readonly namespace_id: string;
}

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
