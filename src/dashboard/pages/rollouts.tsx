/** `/workers/{worker}/rollouts`: a Worker's rollouts, and the form to start one. */
import { mayChange, type PageContext } from "../context.ts";
import { count } from "../format.ts";
import { Alert, Layout, PhaseChip, Table, Time, VersionName, workerPath } from "../layout.tsx";
import { readActive, readRollouts, readVersions } from "../worker.ts";
import { NEW_ROLLOUT, RolloutForm, type RolloutInput } from "./rollout-form.tsx";

/** @param given why a start was refused, with the values of its form */
export async function rolloutsPage(
  c: PageContext,
  worker: string,
  given: { readonly problem?: string; readonly input?: RolloutInput } = {},
) {
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
      <Alert message={given.problem} />
      {mayChange(c) && running === undefined && candidates.length > 0 ? (
        <RolloutForm c={c} worker={worker} candidates={candidates} input={given.input ?? NEW_ROLLOUT} />
      ) : null}
      {rollouts.length === 0 ? <p>No rollouts yet.</p> : null}
      {rollouts.length === 0 ? null : (
        <Table
          caption="Rollouts, newest first"
          head={["Started (UTC)", "Phase", "Candidate", "Users harmed", "Author", "Reason"]}
        >
          {rollouts.map(({ id, created_on, phase, candidate_version_id, ...rollout }) => (
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
              <td>{count(rollout.users_harmed)}</td>
              <td>{rollout.author_email}</td>
              <td class="text">{rollout.reason}</td>
            </tr>
          ))}
        </Table>
      )}
    </Layout>
  );
}
