/** The plan of a rollout, as it was fixed at the start. */

import { cohortText } from "../../versions/affinity.ts";
import { percent, plural } from "../format.ts";
import { workerPath } from "../layout.tsx";
import { failuresText } from "../rollout-text.ts";
import type { RolloutView } from "../types.ts";

export function PlanFacts({ rollout: { plan, peer } }: { rollout: RolloutView }) {
  const { gates, cohort, smoke, freeze, on_fail } = plan;
  return (
    <dl class="facts">
      <dt>Compared with</dt>
      <dd>
        {gates.reference === "baseline"
          ? "the baseline: the stable version's code, started anew beside the candidate, for at most 10% of the clients"
          : "all clients of the stable version"}
        {gates.margin === 1 ? "" : `; may fail ${gates.margin} times as often`}
      </dd>
      <dt>Failures</dt>
      <dd>
        {failuresText(gates.failures)}
        {gates.latency ? "; slow answers are judged as well" : ""}
        {gates.cpu && gates.reference === "baseline" ? "; far more processor time holds the rollout" : ""}
      </dd>
      <dt>If the gate fails</dt>
      <dd>
        {on_fail === "rollback" ? "Sluice rolls back" : "the rollout holds"}; without a cause in at most{" "}
        {percent(gates.alpha * 100, 3)} of all rollouts
      </dd>
      <dt>Users harmed</dt>
      <dd>
        {gates.max_harmed === null ? "no limit" : `the gate fails at ${plural(gates.max_harmed, "user")}`}
      </dd>
      <dt>A stage ends</dt>
      <dd>
        {gates.require === "evidence"
          ? "after its time and visits, with evidence that the candidate fails less than twice as often"
          : "after its time and visits"}
      </dd>
      {cohort === null ? null : (
        <>
          <dt>Cohort</dt>
          <dd>
            <code>{cohortText(cohort)}</code> always gets the candidate
          </dd>
        </>
      )}
      {smoke.length === 0 ? null : (
        <>
          <dt>Smoke requests</dt>
          {smoke.map(({ method, path, status }) => (
            <dd>
              <code>{`${method} ${path}`}</code> → {status ?? "below 400"}
            </dd>
          ))}
        </>
      )}
      {freeze.length === 0 ? null : (
        <>
          <dt>Freeze windows</dt>
          {freeze.map(({ cron, hours, timezone }) => (
            <dd>
              <code>{cron}</code> for {plural(hours, "hour")} ({timezone})
            </dd>
          ))}
        </>
      )}
      {peer === null ? null : (
        <>
          <dt>Linked rollout</dt>
          <dd>
            <a href={workerPath(peer.worker, `/rollouts/${peer.rollout_id}`)}>{peer.worker}</a>
            {peer.leads ? ", which follows this one" : ", which leads"}
          </dd>
        </>
      )}
    </dl>
  );
}
