/** What Prometheus reads, read by a parser of somebody else's. */
import parse from "parse-prometheus-text-format";
import { describe, expect, test } from "vitest";
import { BOUNDS_MS } from "../../src/metrics/histogram.ts";
import { formatOf, renderMetrics } from "../../src/metrics/openmetrics.ts";
import type { AllCounts } from "../../src/metrics/types.ts";
import type { WorkerSummary } from "../../src/versions/record.ts";

const WORKERS = new Map<string, WorkerSummary>([
  [
    "shop",
    {
      revision: 7,
      enabled: true,
      created_on: "2026-11-23T00:00:00.000Z",
      deployed_on: "2026-11-23T00:00:00.000Z",
      deployment_id: "d",
      versions: [
        { version_id: "v1", number: 1, percentage: 99.999 },
        { version_id: "v2", number: 2, percentage: 0.001 },
      ],
      rollout: { id: "r", phase: "holding" },
    },
  ],
]);

const COUNTS: AllCounts = {
  reasons: [
    { worker: "shop", version_id: "v1", reason: "key", ok: 12_345_678_901, error: 2, exception: 3 },
    { worker: "shop", version_id: 'odd "one"\\ of\nthese', reason: "random", ok: 4, error: 0, exception: 0 },
    { worker: "deleted", version_id: "v9", reason: "key", ok: 1, error: 0, exception: 0 },
  ],
  durations: [
    { worker: "shop", version_id: "v1", buckets: [5, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], ms: 20_123 },
  ],
  stale: ["shop", "deleted"],
};

interface Family {
  readonly name: string;
  readonly type: string;
  readonly metrics: readonly {
    readonly labels?: Record<string, string>;
    readonly value?: string;
    readonly buckets?: Record<string, string>;
  }[];
}

const families = new Map(
  (parse(renderMetrics(COUNTS, WORKERS, [], "text")) as Family[]).map((family) => [family.name, family]),
);
const values = (name: string) =>
  (families.get(name)?.metrics ?? []).map(({ labels, value }) => [labels, Number(value)]);

describe("the text format", () => {
  test("has every count under its labels, odd ones included, and nothing of a Worker that is gone", () => {
    expect(families.get("sluice_requests_total")?.type).toBe("COUNTER");
    expect(values("sluice_requests_total")).toEqual([
      [{ worker: "shop", version: "v1", reason: "key", outcome: "ok" }, 12_345_678_901],
      [{ worker: "shop", version: "v1", reason: "key", outcome: "error" }, 2],
      [{ worker: "shop", version: "v1", reason: "key", outcome: "exception" }, 3],
      [{ worker: "shop", version: 'odd "one"\\ of\nthese', reason: "random", outcome: "ok" }, 4],
      [{ worker: "shop", version: 'odd "one"\\ of\nthese', reason: "random", outcome: "error" }, 0],
      [{ worker: "shop", version: 'odd "one"\\ of\nthese', reason: "random", outcome: "exception" }, 0],
    ]);
  });

  test("has histograms whose buckets add up, in seconds", () => {
    const [histogram] = families.get("sluice_request_duration_seconds")?.metrics ?? [];
    const buckets = Object.entries(histogram?.buckets ?? {}).map(([bound, count]) => [
      Number(bound.replace("+Inf", "Infinity")),
      Number(count),
    ]);
    expect(buckets.map(([bound]) => bound)).toEqual([
      ...BOUNDS_MS.map((bound) => bound / 1_000),
      Number.POSITIVE_INFINITY,
    ]);
    const counts = buckets.map(([, count]) => count as number);
    expect(counts).toEqual([...counts].sort((x, y) => x - y));
    expect(counts.at(-1)).toBe(14);
    // The parser leaves these out where there are other labels.
    const text = renderMetrics(COUNTS, WORKERS, [], "text");
    const labels = '{worker="shop",version="v1"}';
    expect(text).toContain(`\nsluice_request_duration_seconds_count${labels} 14\n`);
    expect(text).toContain(`\nsluice_request_duration_seconds_sum${labels} 20.123\n`);
  });

  test("has the gauges that interface and documentation promise", () => {
    expect(values("sluice_split_configured_ratio")).toEqual([
      [{ worker: "shop", version: "v1" }, 0.99999],
      [{ worker: "shop", version: "v2" }, 0.00001],
    ]);
    expect(values("sluice_rollout_phase").filter(([, value]) => value === 1)).toEqual([
      [{ worker: "shop", phase: "holding" }, 1],
    ]);
    expect(values("sluice_rollout_phase")).toHaveLength(8);
    expect(values("sluice_deployment_revision")).toEqual([[{ worker: "shop" }, 7]]);
    expect(values("sluice_deployment_stale")).toEqual([[{ worker: "shop" }, 1]]);
  });
});

test("OpenMetrics names a counter's family without _total, has units, and ends", () => {
  const text = renderMetrics(COUNTS, WORKERS, [], "openmetrics");
  expect(text).toContain("# TYPE sluice_requests counter\n");
  expect(text).toContain('sluice_requests_total{worker="shop",');
  expect(text).toContain("# UNIT sluice_request_duration_seconds seconds\n");
  expect(text).toContain('le="1.0"');
  expect(text.endsWith("\n# EOF\n")).toBe(true);
  expect(text.match(/# EOF/g)).toHaveLength(1);
});

test("Prometheus gets OpenMetrics where it asks for it, and others the text", () => {
  const accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
  expect([formatOf(accept), formatOf("text/plain"), formatOf(undefined)]).toEqual([
    "openmetrics",
    "text",
    "text",
  ]);
});
