/** What the registry's methods take and return. */

import type { Peer, Plan } from "../rollout/types.ts";
import type { Lifecycle } from "../versions/classes.ts";
import type { ShareInput } from "../versions/deployment.ts";
import type { Author, Deployment, Settings, Source, Version, WorkerState } from "../versions/types.ts";

/** One change of a Worker, with its author. */
export interface AuditEntry {
  readonly seq: number;
  /** ISO 8601 in UTC. */
  readonly time: string;
  readonly author: Author;
  readonly source: Source;
  readonly action: AuditAction;
  /** Secrets are named, their values never shown. */
  readonly detail: Readonly<Record<string, unknown>>;
}

export type AuditAction =
  | "version"
  | "deployment"
  | "rollout"
  | "settings"
  | "triggers"
  | "incident"
  | "delete";

/** Who makes a change, and with which client. */
export interface Actor {
  readonly author: Author;
  readonly source: Version["source"];
}

/** A version that has been validated and whose code is in KV. */
type NewVersion = Omit<Version, "number" | "author" | "source">;

export interface RecordVersion {
  readonly actor: Actor;
  readonly version: NewVersion;
  /** Id of the latest version when the bindings were resolved; null for the first. Refused where another is latest. */
  readonly basedOn: string | null;
  /** Deploys the version at 100% in the same transaction. */
  readonly deploy: Pick<Deployment, "triggered_by" | "message"> | null;
  /** Id of the deployment that this one replaces; null for any. Refused where another is active. */
  readonly replaces: string | null;
  /** Settings that the upload changes. */
  readonly settings: Partial<Settings>;
  /** The Worker's classes after the upload's migrations; null where it has none. */
  readonly lifecycle: Lifecycle | null;
}

export interface RecordDeployment {
  readonly actor: Actor;
  readonly shares: readonly ShareInput[];
  readonly message: string | null;
  /** Id of the deployment that this one replaces; null for any. Refused where another is active. */
  readonly replaces: string | null;
  /** Accepts the deployment even where it brings back old secrets or ends a protected split. */
  readonly force: boolean;
}

export interface Page {
  readonly limit: number;
  readonly offset: number;
}

export interface Paged<T> {
  readonly items: readonly T[];
  /** Of all pages. */
  readonly total: number;
}

export interface StartRollout {
  /** Id or tag of the candidate, or `latest`. */
  readonly version: string;
  readonly plan: Plan;
  readonly author: Author;
}

/** A rollout that another Worker's moves. */
export interface StartFollower extends StartRollout {
  /** Id of the new rollout. */
  readonly id: string;
  /** The leader. */
  readonly peer: Peer;
  /** The leader's seed: the same clients get the candidate of both. */
  readonly salt: string;
}

/** A Worker with its latest version and active deployment, read at one moment. */
export interface WorkerOverview {
  readonly worker: WorkerState;
  readonly latest: Version;
  readonly active: Deployment | undefined;
  readonly lifecycle: Lifecycle;
}
