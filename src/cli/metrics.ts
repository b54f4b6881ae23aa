/** `sluice metrics`: a Worker's requests, errors and latencies by version. */
import type { Account, WorkerReport } from "../metrics/report.ts";
import { call, type Target } from "./api.ts";

export async function metrics(target: Target, worker: string, json: boolean): Promise<string> {
  const report = await call<WorkerReport>(
    target,
    "GET",
    `/workers/scripts/${encodeURIComponent(worker)}/metrics`,
  );
  return json ? JSON.stringify(report, null, 2) : toText(report);
}

const HEADINGS = [
  "version",
  "share",
  "observed",
  "requests",
  "ok",
  "errors",
  "exceptions",
  "error rate",
  "p50",
  "p95",
  "p99",
];

function toText({ total, versions, window_seconds, stale }: WorkerReport): string {
  const rows = [
    HEADINGS,
    ...versions.map(({ version_id, percentage, recent, ...account }) => [
      version_id,
      percentage === null ? "–" : `${percentage}%`,
      recent.observed_percentage === null ? "–" : `${recent.observed_percentage.toFixed(1)}%`,
      ...columns(account),
    ]),
    ["all", "", "", ...columns(total)],
  ];
  const widths = HEADINGS.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
  return [
    ...lines,
    `observed: share of the requests that the split decided in the last ${window_seconds} s`,
    ...(stale ? ["A process may still serve an older deployment. Sluice retries every second."] : []),
  ].join("\n");
}

function columns({ requests, ok, error, exception, error_rate, p50_ms, p95_ms, p99_ms }: Account): string[] {
  const time = (ms: number | null) => (ms === null ? "–" : `${ms.toFixed(1)} ms`);
  const rate = error_rate === null ? "–" : `${(error_rate * 100).toFixed(2)}%`;
  return [requests, ok, error, exception].map(String).concat(rate, time(p50_ms), time(p95_ms), time(p99_ms));
}
