/** Draws the charts that the server computed, and lists the same values in tables. */
import uPlot from "uplot";
import type { ChartData, Charts, Limit } from "../charts.ts";

/** Colours from the Okabe-Ito palette, for colour-blind readers. Each line also has a dash pattern of its own. */
const LINES = [
  { light: "#0072b2", dark: "#56b4e9", dash: [] },
  { light: "#b34a00", dark: "#e69f00", dash: [6, 3] },
  { light: "#00734f", dark: "#2fc79b", dash: [2, 3] },
  { light: "#a3548a", dark: "#e3a5cd", dash: [10, 4] },
  { light: "#666666", dark: "#bbbbbb", dash: [3, 6] },
] as const;
const HEIGHT = 180;
/** The first one is for the first line's limit, and so on. */
const LIMIT_DASHES = [[], [6, 3]] as const;
/** A table shows this many of the newest rows. */
const ROWS = 30;

const drawn = new Map<string, { plot: uPlot; names: string }>();
const isDark = matchMedia("(prefers-color-scheme: dark)");

function draw(charts: Charts): void {
  for (const figure of document.querySelectorAll<HTMLElement>("[data-chart]")) {
    const name = figure.dataset.chart ?? "";
    const data = charts[name];
    if (data !== undefined) drawOne(figure, name, data);
  }
}

function drawOne(figure: HTMLElement, name: string, data: ChartData): void {
  const target = figure.querySelector<HTMLElement>(".plot");
  const table = figure.querySelector<HTMLElement>(".as-table");
  if (target === null || table === null) return;
  writeTable(table, data);
  const limits = (data.limits ?? []).map(({ value }) => data.times.map(() => value));
  const columns = [data.times, ...data.lines.map(({ values }) => values), ...limits] as uPlot.AlignedData;
  const names = JSON.stringify([data.lines.map((line) => line.name), data.limits, isDark.matches]);
  const known = drawn.get(name);
  if (known?.names === names) {
    known.plot.setData(columns);
    return;
  }
  known?.plot.destroy();
  const plot = new uPlot(optionsOf(data, target.clientWidth), columns, target);
  drawn.set(name, { plot, names });
}

function optionsOf(data: ChartData, width: number): uPlot.Options {
  const [text, grid] = isDark.matches ? ["#c9d4de", "#33414d"] : ["#3a4752", "#dde3e8"];
  const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  const { limits = [] } = data;
  const isEvidence = limits.length > 0;
  return {
    width,
    height: HEIGHT,
    cursor: { y: false },
    scales: isEvidence
      ? {
          y: {
            distr: 3,
            range: (_, min, max) => evidenceRange(min, max, limits),
          },
        }
      : { y: { range: (_, _min, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [
      { ...axis, space: 80, values: (_, times) => times.map(clock) },
      { ...axis, size: 60, ...(isEvidence ? { grid: { show: false } } : {}) },
    ],
    series: [
      { label: "time (UTC)", value: (_, time) => (time === null ? "–" : clock(time)) },
      ...data.lines.map(({ name }, i): uPlot.Series => {
        const style = LINES[i % LINES.length] as (typeof LINES)[number];
        return {
          label: name,
          stroke: isDark.matches ? style.dark : style.light,
          width: 2,
          dash: [...style.dash],
          spanGaps: false,
          points: { show: data.times.length < 3 },
          value: (_, value) => (value === null ? "–" : figureOf(value)),
        };
      }),
      ...limits.map(
        ({ name }, i): uPlot.Series => ({
          label: name,
          stroke: isDark.matches ? "#ff8a80" : "#b3261e",
          width: 1,
          dash: [...(LIMIT_DASHES[i] ?? [])],
          points: { show: false },
        }),
      ),
    ],
  };
}

/** A time of day in UTC, as everywhere on the pages. @param time in seconds since the epoch */
function clock(time: number): string {
  const date = new Date(time * 1_000);
  return [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}

/**
 * Range of the logarithmic axis: from 0.1, or the least value if that is lower, to twice the highest limit. An E-value
 * far above the limits is cut off, so that they stay readable.
 */
function evidenceRange(min: number | null, max: number | null, limits: readonly Limit[]): [number, number] {
  const limit = Math.max(...limits.map(({ value }) => value));
  return [Math.min(Math.max(min ?? 1, 1e-3), 0.1), Math.max(Math.min(max ?? 1, limit * 1e3), limit * 2)];
}

const figureOf = (value: number) =>
  Math.abs(value) >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(4)));

function writeTable(target: HTMLElement, { times, lines }: ChartData): void {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const name of ["Time (UTC)", ...lines.map((line) => line.name)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  for (let i = times.length - 1; i >= Math.max(times.length - ROWS, 0); i--) {
    const row = body.insertRow();
    row.insertCell().textContent = clock(times[i] ?? 0);
    for (const { values } of lines) {
      const value = values[i] ?? null;
      row.insertCell().textContent = value === null ? "–" : figureOf(value);
    }
  }
  target.replaceChildren(table);
}

const begun = document.getElementById("chart-data")?.textContent;
let latest: Charts = begun ? JSON.parse(begun) : {};
draw(latest);
document.addEventListener("sluice:charts", (event) => {
  latest = (event as CustomEvent<Charts>).detail;
  draw(latest);
});
isDark.addEventListener("change", () => draw(latest));
new ResizeObserver(() => {
  for (const [name, { plot }] of drawn) {
    const width = document.querySelector<HTMLElement>(`[data-chart="${name}"] .plot`)?.clientWidth;
    if (width !== undefined && width !== plot.width) plot.setSize({ width, height: HEIGHT });
  }
}).observe(document.body);
