/** What charts are drawn of. */
import { expect, test } from "vitest";
import { evidenceChart, trafficCharts } from "../../src/dashboard/charts.ts";
import { noTimes } from "../../src/metrics/histogram.ts";

const point = (time: number, version_id: string, ok: number, error = 0) => {
  const buckets = noTimes();
  buckets[3] = ok + error;
  return { time, version_id, ok, error, exception: 0, split: ok + error, buckets };
};
const VERSIONS = [
  { version_id: "v1", name: "#1" },
  { version_id: "v2", name: "#2" },
];

test("an interval without requests is zero per second, and no error rate at all", () => {
  const charts = trafficCharts([point(100, "v1", 50), point(110, "v2", 15, 5)], VERSIONS, 5, 117);
  expect(charts.requests).toEqual({
    times: [100, 105, 110],
    lines: [
      { name: "#1", values: [10, 0, 0] },
      { name: "#2", values: [0, 0, 4] },
    ],
  });
  expect(charts.errors?.lines[1]?.values).toEqual([null, null, 25]);
  expect(charts.latency?.lines[0]?.values).toEqual([9.75, null, null]);
});

test("the interval that is under way is not drawn yet", () => {
  expect(trafficCharts([point(100, "v1", 50)], VERSIONS, 5, 104).requests?.times).toEqual([]);
});

test("evidence has a line and a threshold for each watched metric", () => {
  const history = [
    { time: 1_000, errors: 1, latency: 1 },
    { time: 2_500, errors: 40, latency: 0.5 },
  ];
  expect(evidenceChart(history, { errors: 100 })).toEqual({
    evidence: {
      times: [1, 2.5],
      lines: [{ name: "errors", values: [1, 40] }],
      limits: [{ name: "limit of errors", value: 100 }],
    },
  });
  expect(evidenceChart(history, { errors: 125, latency: 500 }).evidence?.limits).toEqual([
    { name: "limit of errors", value: 125 },
    { name: "limit of latency", value: 500 },
  ]);
});
