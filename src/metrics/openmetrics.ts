/**
 * The text that Prometheus reads, in OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/) or in the format
 * before it. By hand, since client libraries count themselves and take no histogram that somebody else has counted.
 */
import type { WorkerSummary } from "../versions/record.ts";
import { BOUNDS_MS } from "./histogram.ts";
import { type AllCounts, OUTCOMES } from "./types.ts";

type Format = "openmetrics" | "text";

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  text: "text/plain; version=0.0.4; charset=utf-8",
};

/** What Prometheus asks for: it names OpenMetrics among what it accepts. */
export function formatOf(accept: string | undefined): Format {
  return accept?.includes("application/openmetrics-text") ? "openmetrics" : "text";
}

export interface Sample {
  /** What follows the name of the family. */
  readonly suffix: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly unit?: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const PHASES = [
  "pending",
  "running",
  "holding",
  "awaiting_approval",
  "paused",
  "promoted",
  "rolled_back",
  "aborted",
] as const;

interface ServerCounts extends AllCounts {
  /** Whether the server runs stable versions only. */
  readonly safeMode?: boolean;
}

/**
 * @param workers by name; counts of a Worker that is not among them are left out
 * @param more families beside those of Workers
 */
export function renderMetrics(
  counts: ServerCounts,
  workers: ReadonlyMap<string, WorkerSummary>,
  more: readonly Family[],
  format: Format,
): string {
  const text = [...families(counts, workers), ...more].map((family) => renderFamily(family, format)).join("");
  return format === "openmetrics" ? `${text}# EOF\n` : text;
}

function families(
  { reasons, durations, stale, safeMode = false }: ServerCounts,
  workers: ReadonlyMap<string, WorkerSummary>,
): Family[] {
  const known = [...workers];
  const isKnown = ({ worker }: { readonly worker: string }) => workers.has(worker);
  const stales = new Set(stale);
  return [
    gauge("sluice_safe_mode", "1 while the server runs stable versions only.", [
      { labels: {}, value: safeMode ? 1 : 0 },
    ]),
    {
      name: "sluice_requests",
      type: "counter",
      help: "Requests by the version that got them, why it did, and what came of it: ok, error (5xx), exception.",
      samples: reasons.filter(isKnown).flatMap(({ worker, version_id: version, reason, ...outcomes }) =>
        OUTCOMES.map((outcome) => ({
          suffix: "_total",
          labels: { worker, version, reason, outcome },
          value: outcomes[outcome],
        })),
      ),
    },
    {
      name: "sluice_request_duration_seconds",
      type: "histogram",
      unit: "seconds",
      help: "Time from the version's getting a request to the begin of its answer.",
      samples: durations.filter(isKnown).flatMap(histogram),
    },
    gauge(
      "sluice_split_configured_ratio",
      "Share of a version in the active deployment, 0 to 1.",
      known.flatMap(([worker, { versions }]) =>
        versions.map(({ version_id: version, percentage }) => ({
          labels: { worker, version },
          value: Number((percentage / 100).toPrecision(12)),
        })),
      ),
    ),
    gauge(
      "sluice_rollout_phase",
      "1 for the phase of the newest rollout, 0 for the others.",
      known.flatMap(([worker, { rollout }]) =>
        rollout === null
          ? []
          : PHASES.map((phase) => ({ labels: { worker, phase }, value: phase === rollout.phase ? 1 : 0 })),
      ),
    ),
    gauge(
      "sluice_deployment_revision",
      "Grows with every change that routers have to know.",
      known.map(([worker, { revision }]) => ({ labels: { worker }, value: revision })),
    ),
    gauge(
      "sluice_deployment_stale",
      "1 while some process may serve an older deployment than the active one.",
      known.map(([worker]) => ({ labels: { worker }, value: stales.has(worker) ? 1 : 0 })),
    ),
  ];
}

/** @param unit is the end of the name too, if there is one */
export function gauge(
  name: string,
  help: string,
  samples: readonly Omit<Sample, "suffix">[],
  unit?: "bytes" | "seconds",
): Family {
  return {
    name,
    type: "gauge",
    help,
    ...(unit === undefined ? {} : { unit }),
    samples: samples.map((sample) => ({ suffix: "", ...sample })),
  };
}

function histogram({ worker, version_id: version, buckets, ms }: AllCounts["durations"][number]): Sample[] {
  let below = 0;
  const bounds = [...BOUNDS_MS.map((bound) => seconds(bound)), "+Inf"];
  const cumulative = bounds.map((le, i): Sample => {
    below += buckets[i] ?? 0;
    return { suffix: "_bucket", labels: { worker, version, le }, value: below };
  });
  return [
    ...cumulative,
    { suffix: "_sum", labels: { worker, version }, value: ms / 1_000 },
    { suffix: "_count", labels: { worker, version }, value: below },
  ];
}

/** With a fraction always: the specification compares bounds as they are written. */
function seconds(ms: number): string {
  const text = String(ms / 1_000);
  return text.includes(".") ? text : `${text}.0`;
}

function renderFamily({ name, type, unit, help, samples }: Family, format: Format): string {
  // Before OpenMetrics a counter's family had the name of its samples.
  const family = format === "text" && type === "counter" ? `${name}_total` : name;
  const lines = [
    `# HELP ${family} ${help}`,
    `# TYPE ${family} ${type}`,
    ...(unit === undefined || format === "text" ? [] : [`# UNIT ${family} ${unit}`]),
    ...samples.map(({ suffix, labels, value }) => `${name}${suffix}${renderLabels(labels)} ${value}`),
  ];
  return `${lines.join("\n")}\n`;
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
