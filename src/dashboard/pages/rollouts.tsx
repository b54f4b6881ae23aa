/** `/workers/{worker}/rollouts`: a Worker's rollouts, the form to start one, and the live page of one. */

import type { Child } from "hono/jsx";
import { stageText, TEMPLATES } from "../../rollout/plan.ts";
import { TERMINAL } from "../../rollout/types.ts";
import type { Phase } from "../../versions/types.ts";
import { ChartData, ChartPanel } from "../chart-panel.tsx";
import { type Charts, evidenceChart } from "../charts.ts";
import { mayChange, type PageContext, read, scriptPath } from "../context.ts";
import { count, milliseconds, percent, ratePercent } from "../format.ts";
import { Alert, Csrf, Layout, PhaseChip, Table, Time, VersionName, workerPath } from "../layout.tsx";
import type { RolloutView } from "../types.ts";
import { optionText, readActive, readRollouts, readVersions } from "../worker.ts";

export async function rolloutsPage(c: PageContext, worker: string, problem?: string) {
  const [rollouts, { versions }, active] = await Promise.all([
    readRollouts(c, worker),
    readVersions(c, worker),
    readActive(c, worker),
  ]);
  const running = rollouts.find(({ ended_on }) => ended_on === null);
  const all = active?.versions.length === 1 ? active.versions[0]?.version_id : undefined;
  const candidates = versions.filter(({ id }) => id !== all);
  return (
    <Layout env={c.env} user={c.var.user} title={`Rollouts of ${worker}`} worker={worker} tab="Rollouts">
      <h1>Rollouts</h1>
      <Alert message={problem} />
      {mayChange(c) && running === undefined && candidates.length > 0 ? (
        <form class="card" id="start" method="post" action={workerPath(worker, "/rollouts")}>
          <h2>Start a rollout</h2>
          <Csrf user={c.var.user} />
          <div class="fields">
            <label>
              Candidate
              <select name="version">
                {candidates.map((version) => (
                  <option value={version.id}>{optionText(version)}</option>
                ))}
              </select>
            </label>
            <label>
              Plan
              <select name="template">
                {Object.entries(TEMPLATES).map(([name, stages]) => (
                  <option
                    value={name}
                    selected={name === "standard"}
                  >{`${name}: ${stages.map(stageText).join(", ")}`}</option>
                ))}
              </select>
            </label>
            <label>
              Or your own stages
              <input name="stages" type="text" placeholder="5%:10m,25%:30m,100%" />
            </label>
            <label>
              If the gate fails
              <select name="on_fail">
                <option value="rollback">Roll back</option>
                <option value="hold">Hold until an operator decides</option>
              </select>
            </label>
          </div>
          <button type="submit">Start the rollout</button>
        </form>
      ) : null}
      {rollouts.length === 0 ? <p>No rollouts yet.</p> : null}
      {rollouts.length === 0 ? null : (
        <Table
          caption="Rollouts, newest first"
          head={["Started (UTC)", "Phase", "Candidate", "Author", "Reason"]}
        >
          {rollouts.map(({ id, created_on, phase, candidate_version_id, author_email, reason }) => (
            <tr>
              <th scope="row">
                <a href={workerPath(worker, `/rollouts/${id}`)}>
                  <Time at={created_on} />
                </a>
              </th>
              <td>
                <PhaseChip phase={phase} />
              </td>
              <td>
                <VersionName worker={worker} id={candidate_version_id} />
              </td>
              <td>{author_email}</td>
              <td class="text">{reason}</td>
            </tr>
          ))}
        </Table>
      )}
    </Layout>
  );
}

export function readRollout(c: PageContext, worker: string, id: string): Promise<RolloutView> {
  return read(c, scriptPath(worker, `/rollouts/${encodeURIComponent(id)}`));
}

export async function rolloutPage(c: PageContext, worker: string, id: string, problem?: string) {
  const rollout = await readRollout(c, worker, id);
  return (
    <Layout
      env={c.env}
      user={c.var.user}
      title={`Rollout of ${worker}`}
      worker={worker}
      tab="Rollouts"
      scripts={["charts"]}
      live={workerPath(worker, `/rollouts/${id}/live`)}
    >
      <h1>
        Rollout of <VersionName worker={worker} id={rollout.candidate_version_id} /> against{" "}
        <VersionName worker={worker} id={rollout.stable_version_id} />
      </h1>
      <Alert message={problem} />
      {Object.entries(rolloutParts(c, worker, rollout)).map(([name, part]) => (
        <div id={name}>{part}</div>
      ))}
      <section aria-labelledby="evidence-title">
        <h2 id="evidence-title">Evidence over time</h2>
        <ChartPanel
          id="evidence"
          title="E-value of each gate, on a logarithmic scale. At the line, Sluice rolls the candidate back."
        />
        <ChartData charts={rolloutCharts(rollout)} />
      </section>
    </Layout>
  );
}

export function rolloutCharts({ created_on, history, gates }: RolloutView): Charts {
  // An E-value starts at 1.
  const begin = { time: Date.parse(created_on), errors: 1, latency: 1 };
  return evidenceChart([begin, ...history], Object.keys(gates), Object.values(gates)[0]?.threshold);
}

const COMMANDS: readonly (readonly [
  command: string,
  label: string,
  phases: readonly Phase[],
  danger?: true,
])[] = [
  ["approve", "Advance to the next stage", ["holding", "awaiting_approval"]],
  ["pause", "Pause", ["running", "holding", "awaiting_approval"]],
  ["resume", "Resume", ["paused"]],
  ["promote", "Promote to 100% now", ["running", "holding", "awaiting_approval", "paused"]],
  [
    "abort",
    "Abort: give the stable version all traffic",
    ["running", "holding", "awaiting_approval", "paused"],
    true,
  ],
];

/** The parts of the page that update while it is open, by element id. */
export function rolloutParts(c: PageContext, worker: string, rollout: RolloutView): Record<string, Child> {
  const { id, phase, reason, plan, stage, stage_since, percentage, gates, share_e_value, trail } = rollout;
  const isOver = TERMINAL.has(phase);
  return {
    "live-phase": (
      <section class="card" aria-label="Current phase">
        <p role="status">
          <PhaseChip phase={phase} /> {reason}
        </p>
        <ol class="stages" aria-label="Stages">
          {plan.stages.map((each, i) => (
            <li
              class={i < stage ? "past" : i === stage && !isOver ? "now" : ""}
              aria-current={i === stage && !isOver ? "step" : undefined}
            >
              <b>{percent(each.percentage, 3)}</b>
              <small>
                {stageText(each).split(":").slice(1).join(" ") || "at once"}
                {each.min_exposures > 0 ? `, ${count(each.min_exposures)} clients` : ""}
              </small>
            </li>
          ))}
        </ol>
        <p class="hint">
          {isOver ? (
            <>
              Ended <Time at={rollout.ended_on} /> UTC
              {rollout.settled_ms === null
                ? ""
                : `. All traffic had moved ${milliseconds(rollout.settled_ms)} after the decision.`}
            </>
          ) : (
            <>
              At {percent(percentage, 3)} since <Time at={stage_since} /> UTC. If a gate fails,{" "}
              {plan.on_fail === "rollback" ? "Sluice rolls back" : "the rollout holds"}.
            </>
          )}
        </p>
      </section>
    ),
    "live-commands":
      mayChange(c) && !isOver ? (
        <div class="actions">
          {COMMANDS.filter(([, , phases]) => phases.includes(phase)).map(([command, label, , danger]) => (
            <form method="post" action={workerPath(worker, `/rollouts/${id}/${command}`)}>
              <Csrf user={c.var.user} />
              <button type="submit" class={danger ? "danger" : "quiet"}>
                {label}
              </button>
            </form>
          ))}
        </div>
      ) : null,
    "live-gates": (
      <Table
        caption="Gates"
        head={[
          "Gate",
          "E-value",
          "Rollback at",
          "Candidate clients",
          "Candidate failures",
          "Stable clients",
          "Stable failures",
        ]}
      >
        {Object.entries(gates).map(([name, { e_value, threshold, total }]) => (
          <tr>
            <th scope="row">{name === "errors" ? "errors (5xx, exceptions)" : slowName(rollout.slow_ms)}</th>
            <td>{figure(e_value)}</td>
            <td>{figure(threshold)}</td>
            <td>{count(total.candidate.exposures)}</td>
            <td>
              {count(total.candidate.failures)} {rateOf(total.candidate)}
            </td>
            <td>{count(total.stable.exposures)}</td>
            <td>
              {count(total.stable.failures)} {rateOf(total.stable)}
            </td>
          </tr>
        ))}
        <tr>
          <th scope="row">configured share</th>
          <td>{figure(share_e_value)}</td>
          <td colspan={5}>Holds the rollout when the observed share is not the configured one.</td>
        </tr>
      </Table>
    ),
    "live-trail": (
      <Table caption="Events, newest first" head={["Time (UTC)", "Author", "Event", "Phase", "Reason"]}>
        {[...trail].reverse().map(({ time, who, event, to, reason: why }) => (
          <tr>
            <td>
              <Time at={time} />
            </td>
            <td>{who}</td>
            <td>{event.type}</td>
            <td>
              <PhaseChip phase={to.phase} /> stage {to.stage + 1}
            </td>
            <td class="text">{why}</td>
          </tr>
        ))}
      </Table>
    ),
  };
}

/** @param ms a slower answer counts as slow; null until the stable version has enough answers to tell */
const slowName = (ms: number | null) =>
  ms === null ? "slow (limit not known yet)" : `slow (over ${milliseconds(ms)})`;

function figure(value: number | null): string {
  if (value === null) return "∞";
  return value >= 1_000 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

function rateOf({ exposures, failures }: { readonly exposures: number; readonly failures: number }): string {
  return exposures === 0 ? "" : `(${ratePercent(failures / exposures)})`;
}
