export type ResourceKind = "kv" | "r2" | "d1" | "queue";

export interface Resource {
  readonly kind: ResourceKind;
  readonly id: string;
  /** Unique within its kind: a namespace's title, a bucket's, database's or queue's name. */
  readonly name: string;
  /** ISO 8601 in UTC. */
  readonly created_on: string;
}
