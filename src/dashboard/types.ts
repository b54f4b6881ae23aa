/** The API's answers, as far as pages read them. */
import type { WorkerReport } from "../metrics/report.ts";
import type { SeriesPoint } from "../metrics/types.ts";
import type { Counts, Evidence, Metric, Peer, Plan, Waiting } from "../rollout/types.ts";
import type { Phase, Share } from "../versions/types.ts";

export interface WorkerView {
  readonly id: string;
  readonly created_on: string;
  readonly modified_on: string;
  readonly enabled: boolean;
  readonly deployment_id: string;
  readonly versions: readonly Share[];
  readonly rollout: { readonly id: string; readonly phase: Phase } | null;
}

type Annotations = Readonly<Record<string, string | undefined>>;

export interface VersionView {
  readonly id: string;
  readonly number: number;
  readonly metadata: {
    readonly created_on: string;
    readonly source: string;
    readonly author_email: string;
    readonly has_preview: boolean;
  };
  readonly annotations: Annotations;
  readonly resources: {
    readonly bindings: readonly BindingView[];
    readonly script: { readonly etag: string; readonly handlers: readonly string[] };
    readonly script_runtime: {
      readonly compatibility_date: string;
      readonly compatibility_flags: readonly string[];
    };
  };
  readonly startup_time_ms: number;
}

export type BindingView = { readonly type: string; readonly name: string } & Readonly<
  Record<string, unknown>
>;

export interface ModuleView {
  readonly name: string;
  readonly content_type: string;
  readonly content_base64: string;
}

export interface VersionWithCode extends VersionView {
  readonly main_module: string;
  readonly modules: readonly ModuleView[];
}

export interface DeploymentView {
  readonly id: string;
  readonly source: string;
  readonly author_email: string;
  readonly created_on: string;
  readonly annotations: Annotations;
  readonly versions: readonly { readonly version_id: string; readonly percentage: number }[];
}

export interface MetricsView extends WorkerReport {
  readonly interval_seconds: number;
  readonly series: readonly SeriesPoint[];
}

/** How much more often the candidate fails than what it is compared with. */
interface EffectView {
  /** Bounds of the ratio; null where there is none. */
  readonly from: number | null;
  readonly to: number | null;
  /** To be read after "fails". */
  readonly text: string;
  /** First failures that the bounds do not contain yet. */
  readonly unsettled_failures: number;
}

/** An E-value, and the one at which the metric fails the gate. */
interface GateView {
  readonly e_value: number;
  readonly threshold: number;
}

export interface RolloutView {
  readonly id: string;
  readonly phase: Phase;
  readonly reason: string;
  readonly waiting: Waiting | null;
  readonly failed: string | null;
  readonly candidate_version_id: string;
  readonly stable_version_id: string;
  readonly created_on: string;
  readonly ended_on: string | null;
  readonly settled_ms: number | null;
  readonly author_email: string;
  readonly plan: Plan;
  readonly peer: Peer | null;
  readonly stage: number;
  readonly stage_since: string;
  readonly percentage: number;
  /** When the times and figures were true. */
  readonly as_of: string;
  /** Time in the stage, pauses aside. */
  readonly soaked_seconds: number;
  readonly effect: EffectView;
  readonly users_harmed: number;
  readonly counts: { readonly total: Counts; readonly stage: Counts };
  readonly gates: Readonly<Partial<Record<Metric, GateView>>>;
  /** Thresholds in ms, ascending; null until they are known. */
  readonly slow_ms: readonly number[] | null;
  readonly slow: Evidence["slow"];
  /** Processor time of a request in ms; null while there is too little to go by. */
  readonly cpu: { readonly candidate_ms: number; readonly baseline_ms: number } | null;
  readonly share_e_value: number;
  /** Whether a version fails more often than it did. */
  readonly drift: { readonly stable: boolean; readonly candidate: boolean };
  readonly history: readonly HistoryPoint[];
  readonly trail: readonly {
    readonly time: string;
    readonly who: string;
    readonly event: { readonly type: string };
    readonly to: { readonly phase: Phase; readonly stage: number };
    readonly reason: string;
  }[];
}

/** One look of the gate: the time in ms since the epoch, and each metric's E-value. */
export interface HistoryPoint {
  readonly time: number;
  readonly errors: number;
  readonly latency: number;
}

export interface AuditView {
  readonly seq: number;
  readonly time: string;
  readonly author_email: string;
  readonly source: string;
  readonly action: string;
  readonly detail: Readonly<Record<string, unknown>>;
}
