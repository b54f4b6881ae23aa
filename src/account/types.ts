/** What the account records: resources, routes, custom domains, and tokens as the API shows them. */
import type { ResourceKind } from "../lib/errors.ts";

/** Something that Workers are bound to. */
export interface Resource {
  readonly kind: ResourceKind;
  readonly id: string;
  /** Unique within its kind: the title of a namespace, or the name of a bucket, database or queue. */
  readonly name: string;
  /** ISO 8601 in UTC. */
  readonly created_on: string;
}

/** A pattern of URLs that a Worker serves. */
export interface Route {
  readonly id: string;
  readonly pattern: string;
  readonly worker: string;
}

/** A custom domain: a Worker serves all URLs of the hostname that no route matches. */
export interface Domain {
  readonly id: string;
  readonly hostname: string;
  readonly worker: string;
  /** Name of the zone that the client put it in. */
  readonly zone: string;
}

export type DomainInput = Pick<Domain, "hostname" | "zone">;

export interface DomainChanges {
  readonly added: readonly Domain[];
  readonly removed: readonly Domain[];
  /** Domains that exist already; `modified` where another Worker has them. */
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
  /** The token itself. Shown once, in the answer that creates it. */
  readonly value?: string;
}
