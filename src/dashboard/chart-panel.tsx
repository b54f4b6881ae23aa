/** The frame of a chart, which client/charts.ts fills, and the data of a page's charts. */
import type { Charts } from "./charts.ts";

export function ChartPanel({ id, title }: { id: string; title: string }) {
  return (
    <figure class="chart" data-chart={id}>
      <figcaption>{title}</figcaption>
      <div class="plot" aria-hidden="true" />
      <details>
        <summary>Show as a table</summary>
        <div class="as-table" />
      </details>
    </figure>
  );
}

export function ChartData({ charts }: { charts: Charts }) {
  // A version's name must not end the script element.
  const json = JSON.stringify(charts).replaceAll("<", "\\u003c");
  return <script type="application/json" id="chart-data" dangerouslySetInnerHTML={{ __html: json }} />;
}
