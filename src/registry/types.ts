/** What the registry takes and returns. */

import type { LookPoint, TrailEntry } from "../rollout/records.ts";
import type { Plan, Rollout } from "../rollout/types.ts";
import type { Lifecycle } from "../versions/classes.ts";
import type { ShareInput } from "../versions/deployment.ts";
import type { Author, Deployment, Settings, Source, Version, WorkerState } from "../versions/types.ts";

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

/** Who acts, and with what. */
export interface Actor {
  readonly author: Author;
  readonly source: Version["source"];
}

/** A version that has been validated and whose code is in KV. */
type NewVersion = Omit<Version, "number" | "author" | "source">;

export interface RecordVersion {
  readonly actor: Actor;
  readonly version: NewVersion;
  /** Id of the latest version that the bindings were resolved against; null for the first. Changed since: refused. */
  readonly basedOn: string | null;
  /** Deploys the version at 100% in the same transaction. */
  readonly deploy: Pick<Deployment, "triggered_by" | "message"> | null;
  /** Id of the deployment that must still be the active one; null for whichever is. Changed since: refused. */
  readonly replaces: string | null;
  /** Settings that come with the upload. */
  readonly settings: Partial<Settings>;
  /** The Worker's classes after the upload's migrations; null where it has none. */
  readonly lifecycle: Lifecycle | null;
}

export interface RecordDeployment {
  readonly actor: Actor;
  readonly shares: readonly ShareInput[];
  readonly message: string | null;
  /** Id of the deployment that must still be the active one; null for whichever is. Changed since: refused. */
  readonly replaces: string | null;
  /** Whether secrets that have changed since the version was made, and `protect`, are no reason to refuse it. */
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

export interface RolloutDetail {
  readonly rollout: Rollout;
  readonly trail: readonly TrailEntry[];
  readonly history: readonly LookPoint[];
}

/** A Worker as its other parts are read: all of one moment. */
export interface WorkerOverview {
  readonly worker: WorkerState;
  readonly latest: Version;
  readonly active: Deployment | undefined;
  readonly lifecycle: Lifecycle;
}
