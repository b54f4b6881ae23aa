/** `/workers/{worker}`: the active split, its traffic, and past deployments. */

import type { Child } from "hono/jsx";
import { shortId } from "../../lib/ids.ts";
import type { Account } from "../../metrics/report.ts";
import type { Share } from "../../versions/types.ts";
import { type Charts, trafficCharts } from "../charts.ts";
import { mayChange, type PageContext, pageNumber } from "../context.ts";
import { count, milliseconds, NONE, percent, ratePercent, splitText } from "../format.ts";
import {
  Alert,
  Csrf,
  Layout,
  Pages,
  PhaseChip,
  SplitBar,
  Table,
  Time,
  VersionName,
  workerPath,
} from "../layout.tsx";
import { describeMoves, movesBetween } from "../moves.ts";
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

const PER_PAGE = 20;

/** What the page updates while it is open. */
interface Live {
  readonly worker: string;
  readonly active: PagedDeployment | undefined;
  readonly metrics: MetricsView;
  readonly rollouts: readonly Omit<RolloutView, "trail" | "history">[];
  readonly numbers: ReadonlyMap<string, number>;
  readonly mayChange: boolean;
}

/** The form's values, which a refusal shows again. */
export interface SplitInput {
  readonly stable: string;
  readonly candidate: string;
  readonly percentage: number;
  readonly message: string;
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
      <div id="live-split">{shown["live-split"]}</div>
      {mayChange(c) && live.active !== undefined ? (
        <ChangeForm
          c={c}
          worker={worker}
          active={live.active}
          versions={offered}
          rollout={live.rollouts.find(({ ended_on }) => ended_on === null)}
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
                {deployment.id === live.active?.id ? (
                  <span class="chip">active</span>
                ) : mayChange(c) ? (
                  <a href={workerPath(worker, `/rollback?deployment=${deployment.id}`)}>Roll back to this</a>
                ) : null}
              </td>
            </tr>
          ))}
        </Table>
        <Pages path={workerPath(worker)} page={page} per_page={PER_PAGE} total={total} />
      </section>
    </Layout>
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

/** First values of the form: the version that the query asks for at 0%, else the active split, else the newest version at 0%. */
function suggest(
  shares: readonly Share[],
  versions: readonly VersionView[],
  asked: string | undefined,
): SplitInput {
  const sorted = [...shares].sort((x, y) => y.number - x.number);
  const [newest, other] = sorted;
  if (asked !== undefined) {
    const stable = sorted.find(({ version_id }) => version_id !== asked);
    return { stable: stable?.version_id ?? "", candidate: asked, percentage: 0, message: "" };
  }
  if (newest !== undefined && other !== undefined) {
    const { version_id: candidate, percentage } = newest;
    return { stable: other.version_id, candidate, percentage, message: "" };
  }
  const stable = newest?.version_id ?? "";
  const candidate = versions.find(({ id }) => id !== stable)?.id ?? stable;
  return { stable, candidate, percentage: 0, message: "" };
}

function ChangeForm({
  c,
  worker,
  active,
  versions,
  rollout,
  input,
}: {
  c: PageContext;
  worker: string;
  active: PagedDeployment;
  versions: readonly VersionView[];
  rollout: Live["rollouts"][number] | undefined;
  input: SplitInput;
}) {
  const options = (chosen: string) =>
    versions.map(({ id, number, annotations }) => (
      <option value={id} data-number={number} selected={id === chosen}>
        {`#${number} ${shortId(id)} ${annotations["workers/tag"] ?? annotations["workers/message"] ?? ""}`.slice(
          0,
          60,
        )}
      </option>
    ));
  const numbers = numbersOf(versions);
  const candidate = [...active.versions].sort((x, y) => y.number - x.number)[0];
  const stable = active.versions.find((share) => share !== candidate);
  const after = partsOf(input, numbers);
  return (
    <section aria-labelledby="change-title" id="change">
      <h2 id="change-title">Change the split</h2>
      {rollout === undefined ? null : (
        <p class="alert">A rollout is in progress. Changing the split here ends it.</p>
      )}
      <form
        class="card"
        id="split-form"
        method="post"
        action={workerPath(worker, "/split")}
        data-active={JSON.stringify(active.versions)}
      >
        <Csrf user={c.var.user} />
        <input type="hidden" name="base" value={active.id} />
        <div class="fields">
          <label>
            Stable version, gets the rest
            <select name="stable">{options(input.stable)}</select>
          </label>
          <label>
            Candidate
            <select name="candidate">{options(input.candidate)}</select>
          </label>
          <label>
            Candidate's share, %
            <input
              name="percentage"
              type="number"
              min="0"
              max="100"
              step="any"
              value={input.percentage}
              required={true}
            />
          </label>
          <label class="grow">
            Candidate's share as a slider
            <input id="slider" type="range" min="0" max="100" step="1" value={input.percentage} />
          </label>
        </div>
        <output id="moves" for="split-form">
          {describeMoves(movesBetween(active.versions, after), (id) => nameOf(id, numbers)).join(" ")}
        </output>
        <label>
          Message{" "}
          <input name="message" type="text" maxlength={1000} value={input.message} placeholder="Why?" />
        </label>
        <button type="submit">Change the split</button>
      </form>
      <div class="actions">
        {stable !== undefined && candidate !== undefined ? (
          <>
            <form method="post" action={workerPath(worker, "/promote")}>
              <Csrf user={c.var.user} />
              <input type="hidden" name="base" value={active.id} />
              <input type="hidden" name="version" value={candidate.version_id} />
              <button type="submit">Promote #{candidate.number} to 100%</button>
            </form>
            <a class="button danger" href={workerPath(worker, `/rollback?to=${stable.version_id}`)}>
              Roll back to #{stable.number}…
            </a>
          </>
        ) : null}
        <a class="button quiet" href={workerPath(worker, "/rollouts#start")}>
          Start a rollout…
        </a>
      </div>
    </section>
  );
}

/** The split that the form describes. */
export function partsOf({ stable, candidate, percentage }: SplitInput, numbers: ReadonlyMap<string, number>) {
  const part = (version_id: string, share: number) => ({
    version_id,
    number: numbers.get(version_id) ?? 0,
    percentage: share,
  });
  if (stable === candidate) return [part(candidate, 100)];
  return [part(stable, 100 - percentage), part(candidate, percentage)];
}

export async function readLive(c: PageContext, worker: string): Promise<Live> {
  const [{ deployments }, metrics, rollouts] = await Promise.all([
    readDeployments(c, worker, 1, 1),
    readMetrics(c, worker),
    readRollouts(c, worker),
  ]);
  const [active] = deployments;
  const numbers = numbersOf(active?.versions ?? []);
  return { worker, active, metrics, rollouts, numbers, mayChange: mayChange(c) };
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
export function parts({
  worker,
  active,
  metrics,
  rollouts,
  numbers,
}: Live): Record<"live-split" | "live-recent" | "live-totals", Child> {
  const shares = active?.versions ?? [];
  const observed = metrics.versions.flatMap(({ version_id, recent }) => {
    const number = numbers.get(version_id);
    return number === undefined || recent.observed_percentage === null
      ? []
      : [{ version_id, number, percentage: recent.observed_percentage }];
  });
  const running = rollouts.find(({ ended_on }) => ended_on === null);
  const span =
    metrics.window_seconds >= 120
      ? `Last ${Math.round(metrics.window_seconds / 60)} min`
      : metrics.window_seconds > 0
        ? `Last ${metrics.window_seconds} s`
        : "Since this deployment";
  return {
    "live-split": (
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
    ),
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
