/** `/workers/{worker}`: the active split, its traffic, and past deployments. */

import type { Child } from "hono/jsx";
import type { Account } from "../../metrics/report.ts";
import type { Incident } from "../../versions/incident.ts";
import type { Share } from "../../versions/types.ts";
import { ChartData, ChartPanel } from "../chart-panel.tsx";
import { type Charts, trafficCharts } from "../charts.ts";
import { mayChange, type PageContext, pageNumber } from "../context.ts";
import { count, milliseconds, NONE, percent, ratePercent, splitText } from "../format.ts";
import { IncidentBanner, readRecentIncidents } from "../incidents.tsx";
import {
  Alert,
  Layout,
  Pages,
  PhaseChip,
  SplitBar,
  Table,
  Time,
  VersionName,
  workerPath,
} from "../layout.tsx";
import type { MetricsView, RolloutView, VersionView } from "../types.ts";
import {
  nameOf,
  numbersOf,
  type PagedDeployment,
  readDeployments,
  readMetrics,
  readRollouts,
  readVersion,
  readVersions,
} from "../worker.ts";
import { SplitForm, type SplitInput, suggest } from "./split-form.tsx";

const PER_PAGE = 20;

/** What the page updates while it is open. */
interface Live {
  readonly worker: string;
  readonly active: PagedDeployment | undefined;
  readonly metrics: MetricsView;
  readonly rollouts: readonly Omit<RolloutView, "trail" | "history">[];
  readonly numbers: ReadonlyMap<string, number>;
  /** Of the last hour, in which versions of the Worker ran. */
  readonly incidents: readonly Incident[];
}

export async function deploymentsPage(
  c: PageContext,
  worker: string,
  given: { readonly problem?: string; readonly input?: SplitInput } = {},
) {
  const page = pageNumber(c);
  const [{ deployments, total }, { versions }, live] = await Promise.all([
    readDeployments(c, worker, page, PER_PAGE),
    readVersions(c, worker),
    readLive(c, worker),
  ]);
  const asked = c.req.query("candidate");
  const offered = await withMissing(c, worker, versions, [
    ...(live.active?.versions ?? []).map(({ version_id }) => version_id),
    ...(asked === undefined ? [] : [asked]),
  ]);
  const charts = chartsOf(live);
  const shown = parts(live);
  return (
    <Layout
      env={c.env}
      user={c.var.user}
      title={worker}
      worker={worker}
      tab="Deployments"
      scripts={["charts"]}
      live={workerPath(worker, "/live")}
    >
      <h1>{worker}</h1>
      <Alert message={given.problem} />
      <Alert message={DONE[c.req.query("done") ?? ""]} kind="done" />
      <div id="live-incidents">{shown["live-incidents"]}</div>
      <div id="live-split">{shown["live-split"]}</div>
      {mayChange(c) && live.active !== undefined ? (
        <SplitForm
          c={c}
          worker={worker}
          active={live.active}
          versions={offered}
          isRolloutRunning={live.rollouts.some(({ ended_on }) => ended_on === null)}
          input={given.input ?? suggest(live.active.versions, offered, asked)}
        />
      ) : null}
      <div id="live-recent">{shown["live-recent"]}</div>
      <div id="live-totals">{shown["live-totals"]}</div>
      <section aria-labelledby="charts-title">
        <h2 id="charts-title">Last 30 minutes</h2>
        <div class="charts">
          <ChartPanel id="requests" title="Requests per second" />
          <ChartPanel id="errors" title="Errors and exceptions, % of requests" />
          <ChartPanel id="latency" title="95th percentile of latency, ms" />
        </div>
        <ChartData charts={charts} />
      </section>
      <History c={c} worker={worker} active={live.active} deployments={deployments} total={total} />
    </Layout>
  );
}

/** Past deployments, a page of them. */
function History({
  c,
  worker,
  active,
  deployments,
  total,
}: {
  c: PageContext;
  worker: string;
  active: PagedDeployment | undefined;
  deployments: readonly PagedDeployment[];
  total: number;
}) {
  return (
    <section aria-labelledby="history-title">
      <h2 id="history-title">History</h2>
      <Table caption="Deployments, newest first" head={["Time (UTC)", "Author", "Split", "Message", ""]}>
        {deployments.map((deployment, i) => (
          <tr>
            <td>
              <Time at={deployment.created_on} />
            </td>
            <td>
              {deployment.author_email} <small>{originOf(deployment)}</small>
            </td>
            <td>
              {splitText(deployment.versions)}
              {changeOf(deployments[i + 1])}
            </td>
            <td class="text">{deployment.annotations["workers/message"] ?? ""}</td>
            <td>
              {deployment.id === active?.id ? (
                <span class="chip">active</span>
              ) : mayChange(c) ? (
                <a href={workerPath(worker, `/rollback?deployment=${deployment.id}`)}>Roll back to this</a>
              ) : null}
            </td>
          </tr>
        ))}
      </Table>
      <Pages path={workerPath(worker)} page={pageNumber(c)} per_page={PER_PAGE} total={total} />
    </section>
  );
}

const DONE: Readonly<Record<string, string>> = {
  split: "Split changed. Every process serves it.",
  promoted: "Promoted. The candidate gets all traffic.",
  rollback: "Rolled back. Every process serves this deployment.",
  deployed: "Version created and deployed. It gets all traffic.",
};

const originOf = ({ source, annotations }: PagedDeployment) =>
  annotations["workers/triggered_by"] === "rollout" ? "rollout" : source;

/** The split that a deployment replaced. */
function changeOf(before: PagedDeployment | undefined): Child {
  if (before === undefined) return null;
  return <small class="change">before: {splitText(before.versions)}</small>;
}

async function withMissing(
  c: PageContext,
  worker: string,
  versions: readonly VersionView[],
  ids: readonly string[],
): Promise<VersionView[]> {
  const missing = [...new Set(ids)].filter((id) => !versions.some((version) => version.id === id));
  const found = await Promise.all(missing.map((id) => readVersion(c, worker, id)));
  return [...versions, ...found].sort((x, y) => y.number - x.number);
}

export async function readLive(c: PageContext, worker: string): Promise<Live> {
  const [{ deployments }, metrics, rollouts, incidents] = await Promise.all([
    readDeployments(c, worker, 1, 1),
    readMetrics(c, worker),
    readRollouts(c, worker),
    readRecentIncidents(c, worker),
  ]);
  const [active] = deployments;
  const numbers = numbersOf(active?.versions ?? []);
  return { worker, active, metrics, rollouts, numbers, incidents };
}

export function chartsOf({ metrics, active, numbers }: Live): Charts {
  const drawn = new Set(metrics.series.map(({ version_id }) => version_id));
  const deployed = [...(active?.versions ?? [])].sort((x, y) => x.number - y.number);
  const ids = [
    ...deployed.map(({ version_id }) => version_id),
    ...metrics.versions.map(({ version_id }) => version_id).filter((id) => drawn.has(id)),
  ];
  const named = [...new Set(ids)]
    .slice(0, 5)
    .map((version_id) => ({ version_id, name: nameOf(version_id, numbers) }));
  return trafficCharts(metrics.series, named, metrics.interval_seconds, Date.now() / 1_000);
}

/** The parts of the page that update while it is open, by element id. */
export function parts(
  live: Live,
): Record<"live-incidents" | "live-split" | "live-recent" | "live-totals", Child> {
  const { metrics, numbers, incidents } = live;
  const observed = metrics.versions.flatMap(({ version_id, recent }) => {
    const number = numbers.get(version_id);
    return number === undefined || recent.observed_percentage === null
      ? []
      : [{ version_id, number, percentage: recent.observed_percentage }];
  });
  const span =
    metrics.window_seconds >= 120
      ? `Last ${Math.round(metrics.window_seconds / 60)} min`
      : metrics.window_seconds > 0
        ? `Last ${metrics.window_seconds} s`
        : "Since this deployment";
  return {
    "live-incidents": <IncidentBanner incidents={incidents} />,
    "live-split": <LiveSplit live={live} observed={observed} span={span} />,
    "live-recent": (
      <Table caption={span} head={["Version", "Observed", "Requests", "Error rate", "p50", "p95", "p99"]}>
        {metrics.versions
          .filter(({ version_id, recent }) => numbers.has(version_id) || recent.requests > 0)
          .map(({ version_id, recent }) => (
            <tr>
              <th scope="row">{nameOf(version_id, numbers)}</th>
              <td>{percent(recent.observed_percentage)}</td>
              <td>{count(recent.requests)}</td>
              <td>{ratePercent(recent.error_rate)}</td>
              <td>{milliseconds(recent.p50_ms)}</td>
              <td>{milliseconds(recent.p95_ms)}</td>
              <td>{milliseconds(recent.p99_ms)}</td>
            </tr>
          ))}
      </Table>
    ),
    "live-totals": (
      <Table
        caption="All requests"
        head={["Version", "Requests", "OK", "Errors (5xx)", "Exceptions", "Error rate"]}
      >
        {metrics.versions.map(({ version_id, ...account }) => (
          <TotalsRow id={version_id} name={nameOf(version_id, numbers)} account={account} />
        ))}
        <TotalsRow id="all" name="All" account={metrics.total} />
      </Table>
    ),
  };
}

function LiveSplit({ live, observed, span }: { live: Live; observed: readonly Share[]; span: string }) {
  const { worker, active, metrics, rollouts } = live;
  const shares = active?.versions ?? [];
  const running = rollouts.find(({ ended_on }) => ended_on === null);
  return (
    <section class="card split" aria-label="Active split">
      <dl class="legend">
        {[...shares]
          .sort((x, y) => x.number - y.number)
          .map(({ version_id, number, percentage }, i) => (
            <div class={i === 0 ? "stable" : "candidate"}>
              <dt>
                <VersionName worker={worker} id={version_id} number={number} />
              </dt>
              <dd>
                <b data-configured={version_id}>{percent(percentage, 3)}</b> configured,{" "}
                <b data-observed={version_id}>
                  {percent(observed.find((share) => share.version_id === version_id)?.percentage ?? null)}
                </b>{" "}
                observed
              </dd>
            </div>
          ))}
      </dl>
      <div class="bars">
        <span>configured</span>
        <SplitBar versions={shares} label="Configured split" />
        <span>observed</span>
        <SplitBar versions={observed} label={`Observed split, ${span}`} />
      </div>
      {metrics.stale ? (
        <Alert message="A process may still serve an older deployment. Sluice retries every second." />
      ) : null}
      {running === undefined ? null : (
        <p>
          <a href={workerPath(worker, `/rollouts/${running.id}`)}>
            <PhaseChip phase={running.phase} /> rollout: {running.reason}
          </a>
        </p>
      )}
    </section>
  );
}

function TotalsRow({ id, name, account }: { id: string; name: string; account: Account }) {
  return (
    <tr data-version={id}>
      <th scope="row">{name}</th>
      <td data-total="requests">{count(account.requests)}</td>
      <td data-total="ok">{count(account.ok)}</td>
      <td data-total="error">{count(account.error)}</td>
      <td data-total="exception">{count(account.exception)}</td>
      <td>{account.requests === 0 ? NONE : ratePercent(account.error_rate)}</td>
    </tr>
  );
}
