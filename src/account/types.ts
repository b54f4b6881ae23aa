import type { ResourceKind } from "../lib/errors.ts";
export interface Resource {
  readonly kind: ResourceKind;
  readonly id: string;
  /** Unique within its kind: a namespace's title, a bucket's, database's or queue's name. */
  readonly name: string;
  /** ISO 8601 in UTC. */
  readonly created_on: string;
}

/** A pattern of addresses that leads to a Worker. */
export interface Route {
  readonly id: string;
  readonly pattern: string;
  readonly worker: string;
}

/** A hostname all of whose addresses lead to a Worker, as far as no route does. */
export interface Domain {
  readonly id: string;
  readonly hostname: string;
  readonly worker: string;
  /** Name of the zone that it was said to be in. */
  readonly zone: string;
}

export type DomainInput = Pick<Domain, "hostname" | "zone">;

export interface DomainChanges {
  readonly added: readonly Domain[];
  readonly removed: readonly Domain[];
  /** Those that are there already; `modified` where they belong to another Worker. */
  readonly updated: readonly (Domain & { readonly modified: boolean })[];
}

/** A token as the API shows it. Times are ISO 8601 in UTC. */
export interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly created_on: string;
  readonly created_by: string;
  readonly last_used_on: string | null;
  readonly status: "active";
  /** What it is: shown once, when it is made. */
  readonly value?: string;
}
