/** `/workers/{worker}/rollouts/{rollout}`: the live page of one rollout. */
import type { Child } from "hono/jsx";
import { stageText } from "../../rollout/plan.ts";
import { type RolloutCommand, type Stage, TERMINAL } from "../../rollout/types.ts";
import type { Phase } from "../../versions/types.ts";
import { ChartData, ChartPanel } from "../chart-panel.tsx";
import { type Charts, evidenceChart } from "../charts.ts";
import { mayChange, type PageContext, read, scriptPath } from "../context.ts";
import { count, milliseconds, percent } from "../format.ts";
import { Alert, Csrf, Layout, PhaseChip, Table, Time, VersionName, workerPath } from "../layout.tsx";
import { acceptText, alarmsOf, isLast, waitingText } from "../rollout-text.ts";
import type { RolloutView } from "../types.ts";
import { Arms, Effect, Gates, Slow } from "./rollout-evidence.tsx";
import { PlanFacts } from "./rollout-plan.tsx";

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
          title="E-value of each gate, on a logarithmic scale. A gate fails at its line."
        />
        <ChartData charts={rolloutCharts(rollout)} />
        <p>
          <a href={workerPath(worker, `/rollouts/${id}/certificate`)} download={true}>
            Download the certificate
          </a>{" "}
          <span class="hint">All that the E-values follow from, so that anybody can compute them again.</span>
        </p>
      </section>
      <section class="card" aria-labelledby="plan-title">
        <h2 id="plan-title">Plan</h2>
        <PlanFacts rollout={rollout} />
      </section>
    </Layout>
  );
}

export function rolloutCharts({ created_on, history, gates }: RolloutView): Charts {
  // An E-value starts at 1.
  const begin = { time: Date.parse(created_on), errors: 1, latency: 1 };
  const thresholds = Object.fromEntries(
    Object.entries(gates).map(([metric, { threshold }]) => [metric, threshold]),
  );
  return evidenceChart([begin, ...history], thresholds);
}

interface Command {
  readonly command: RolloutCommand;
  readonly phases: readonly Phase[];
  readonly label: (rollout: RolloutView) => string;
  readonly isDanger?: true;
}

const COMMANDS: readonly Command[] = [
  { command: "approve", phases: ["holding", "awaiting_approval"], label: approveLabel },
  { command: "pause", phases: ["running", "holding", "awaiting_approval"], label: () => "Pause" },
  { command: "resume", phases: ["paused"], label: () => "Resume" },
  {
    command: "promote",
    phases: ["running", "holding", "awaiting_approval", "paused"],
    label: ({ failed }) =>
      failed === null ? "Promote to 100% now" : "Accept the failures and promote to 100% now",
  },
  {
    command: "abort",
    phases: ["running", "holding", "awaiting_approval", "paused"],
    label: () => "Abort: give the stable version all traffic",
    isDanger: true,
  },
];

function approveLabel(rollout: RolloutView): string {
  const next = isLast(rollout) ? "finish the rollout" : "advance to the next stage";
  return rollout.failed === null
    ? `${next.charAt(0).toUpperCase()}${next.slice(1)}`
    : `Accept the failures and ${next}`;
}

/** The parts of the page that update while it is open, by element id. */
export function rolloutParts(c: PageContext, worker: string, rollout: RolloutView): Record<string, Child> {
  return {
    "live-phase": <CurrentPhase rollout={rollout} />,
    "live-commands":
      mayChange(c) && !TERMINAL.has(rollout.phase) ? (
        <Commands c={c} worker={worker} rollout={rollout} />
      ) : null,
    "live-effect": <Effect rollout={rollout} />,
    "live-arms": <Arms rollout={rollout} />,
    "live-gates": <Gates rollout={rollout} />,
    "live-slow": <Slow rollout={rollout} />,
    "live-trail": <Trail rollout={rollout} />,
  };
}

function CurrentPhase({ rollout }: { rollout: RolloutView }) {
  const { phase, reason, failed, percentage, stage, plan } = rollout;
  const isOver = TERMINAL.has(phase);
  const waits = waitingText(rollout);
  const alarms = alarmsOf(rollout);
  return (
    <section class="card" aria-label="Current phase">
      <p role="status">
        <PhaseChip phase={phase} /> {reason}
      </p>
      {waits === undefined ? null : <p class="waiting">{waits}</p>}
      {failed === null || failed === reason ? null : <Alert message={`The gate has failed: ${failed}.`} />}
      {isOver || alarms.length === 0 ? null : <Alert message={alarms.join(" ")} />}
      <ol class="stages" aria-label="Stages">
        {plan.stages.map((each, i) => (
          <li
            class={i < stage ? "past" : i === stage && !isOver ? "now" : ""}
            aria-current={i === stage && !isOver ? "step" : undefined}
          >
            <b>{percent(each.percentage, 3)}</b>
            <small>{stageNeeds(each)}</small>
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
            At {percent(percentage, 3)} since <Time at={rollout.stage_since} /> UTC. {stageNote(rollout)}
          </>
        )}
      </p>
    </section>
  );
}

/** What a stage needs to end, e.g. `10m, 600 visits`. */
function stageNeeds(stage: Stage): string {
  const time = stageText(stage).split(":").slice(1).join(" ") || "at once";
  const what =
    stage.percentage === 0 ? "cohort " : stage.percentage === 100 && time !== "at once" ? "bake " : "";
  return `${what}${time}${stage.min_exposures > 0 ? `, ${count(stage.min_exposures)} visits` : ""}`;
}

function stageNote({ percentage, plan }: RolloutView): string {
  if (percentage === 100) {
    return "The stable version stays ready. It takes over again if the candidate fails more often than it did.";
  }
  if (percentage === 0) return "Only the cohort gets the candidate.";
  return `If a gate fails, ${plan.on_fail === "rollback" ? "Sluice rolls back" : "the rollout holds"}.`;
}

function Commands({ c, worker, rollout }: { c: PageContext; worker: string; rollout: RolloutView }) {
  const { id, phase, peer } = rollout;
  const isFollower = peer?.leads === false;
  const accepts = acceptText(rollout);
  const offered = COMMANDS.filter(
    ({ command, phases }) => phases.includes(phase) && (!isFollower || command === "abort"),
  );
  return (
    <>
      {accepts === undefined || isFollower ? null : <p class="accepts">{accepts}</p>}
      {isFollower ? <p class="hint">The rollout of {peer.worker} leads. Steer both there.</p> : null}
      <div class="actions">
        {offered.map(({ command, label, isDanger }) => (
          <form method="post" action={workerPath(worker, `/rollouts/${id}/${command}`)}>
            <Csrf user={c.var.user} />
            <button type="submit" class={isDanger ? "danger" : "quiet"}>
              {label(rollout)}
            </button>
          </form>
        ))}
      </div>
    </>
  );
}

function Trail({ rollout: { trail } }: { rollout: RolloutView }) {
  return (
    <Table caption="Events, newest first" head={["Time (UTC)", "Author", "Event", "Phase", "Reason"]}>
      {[...trail].reverse().map(({ time, who, event, to, reason }) => (
        <tr>
          <td>
            <Time at={time} />
          </td>
          <td>{who}</td>
          <td>{event.type}</td>
          <td>
            <PhaseChip phase={to.phase} /> stage {to.stage + 1}
          </td>
          <td class="text">{reason}</td>
        </tr>
      ))}
    </Table>
  );
}
