/** The API's answers, as far as pages read them. */
import type { WorkerReport } from "../metrics/report.ts";
import type { SeriesPoint } from "../metrics/types.ts";
import type { Interval } from "../rollout/gate.ts";
import type { Plan } from "../rollout/types.ts";
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

interface GateView {
  readonly e_value: number;
  readonly threshold: number;
  readonly good_e_value: number;
  readonly total: Interval;
  readonly stage: Interval;
}

export interface RolloutView {
  readonly id: string;
  readonly phase: Phase;
  readonly reason: string;
  readonly candidate_version_id: string;
  readonly stable_version_id: string;
  readonly created_on: string;
  readonly ended_on: string | null;
  readonly settled_ms: number | null;
  readonly author_email: string;
  readonly plan: Plan;
  readonly stage: number;
  readonly stage_since: string;
  readonly percentage: number;
  readonly share_e_value: number;
  readonly slow_ms: number | null;
  readonly gates: Readonly<Record<string, GateView>>;
  readonly history: readonly HistoryPoint[];
  readonly trail: readonly {
    readonly time: string;
    readonly who: string;
    readonly event: { readonly type: string };
    readonly to: { readonly phase: Phase; readonly stage: number };
    readonly reason: string;
  }[];
}

/** One check of the gates: the time in ms since the epoch, and each gate's E-value. */
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
