/** The examples for Prometheus and Grafana ask for what /metrics has, in expressions that Prometheus' own grammar takes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { renderMetrics } from "../../src/metrics/openmetrics.ts";
import { processFamilies } from "../../src/metrics/process-families.ts";
import { ROOT } from "../support/server.ts";

const read = (file: string) => readFileSync(join(ROOT, "examples", file), "utf8");

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

const rules = (parse(read("prometheus/alerts.yml")) as Rules).groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(read("grafana/sluice.json")) as Dashboard;
const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
];

const text = renderMetrics(
  {
    reasons: [{ worker: "w", version_id: "v", reason: "key", ok: 1, error: 0, exception: 0 }],
    durations: [{ worker: "w", version_id: "v", buckets: [1], ms: 1 }],
    stale: [],
  },
  new Map([
    [
      "w",
      {
        revision: 1,
        enabled: true,
        created_on: "",
        deployed_on: "",
        deployment_id: "d",
        versions: [{ version_id: "v", number: 1, percentage: 100 }],
        rollout: { id: "r", phase: "running" },
      },
    ],
  ]),
  processFamilies(
    {
      processes: [
        {
          name: "canary",
          pid: 1,
          up: true,
          resident_memory_bytes: 1,
          memory_limit_bytes: 1,
          open_fds: 1,
          max_fds: 1,
          cpu_seconds: 1,
          restarts: { hang: 0, memory: 0, ended: 0 },
        },
      ],
      disk: { free_bytes: 1, size_bytes: 1 },
      sampled_on: "2026-11-25T00:00:00.000Z",
      is_stale: false,
    },
    [
      {
        id: "i",
        process: "canary",
        cause: "hang",
        at: "2026-11-25T00:00:00.000Z",
        evidence: {},
        versions: [],
        culprit: { worker: "w", version: "v" },
      },
    ],
  ),
  "text",
);
const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
const names = new Set(samples.map((line) => line.slice(0, line.search(/[{ ]/))));
const labels = new Set(
  samples.flatMap((line) => [...line.matchAll(/(\w+)="/g)].map(([, name]) => name as string)),
);
/** What Prometheus adds itself. */
const OWN_NAMES = new Set(["up"]);
const OWN_LABELS = new Set(["job", "instance"]);

/** Texts of the nodes of a kind. */
function nodes(expr: string, kind: string): string[] {
  const found: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ name, type, from, to }) => {
      if (name === kind || (kind === "⚠" && type.isError)) found.push(expr.slice(from, to));
    },
  });
  return found;
}

test.each(expressions)("%s: every name and label is there, and the expression is one", (_, expr) => {
  const query = expr.replaceAll("$__rate_interval", "1m").replaceAll("$worker", "w");
  expect(nodes(query, "⚠")).toEqual([]);
  const asked = nodes(query, "Identifier").filter(
    (name) => name.startsWith("sluice_") || OWN_NAMES.has(name),
  );
  expect(asked.length).toBeGreaterThan(0);
  expect(asked.filter((name) => !names.has(name) && !OWN_NAMES.has(name))).toEqual([]);
  const used = nodes(query, "LabelName");
  expect(used.filter((name) => name !== "le" && !labels.has(name) && !OWN_LABELS.has(name))).toEqual([]);
});

test("the scrape configuration names the port and the path that Sluice has, and a token", () => {
  const { scrape_configs, rule_files } = parse(read("prometheus/prometheus.yml"));
  expect(scrape_configs[0].static_configs[0].targets).toEqual(["127.0.0.1:8788"]);
  expect(scrape_configs[0].authorization.credentials_file).toMatch(/^\//);
  expect(rule_files).toEqual(["alerts.yml"]);
});

test("panels show each thing that an operator asks for", () => {
  const all = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join(" ");
  for (const name of names) expect(all).toContain(name.replace(/_(sum|count)$/, "_bucket"));
});
