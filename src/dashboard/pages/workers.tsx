/** `/`: the list of Workers. */
import { type PageContext, pageNumber, readReply } from "../context.ts";
import { plural, splitText } from "../format.ts";
import { IncidentBanner, readRecentIncidents } from "../incidents.tsx";
import { Layout, Pages, PhaseChip, SplitBar, Table, Time, workerPath } from "../layout.tsx";
import type { WorkerView } from "../types.ts";

const PER_PAGE = 50;

export async function workersPage(c: PageContext) {
  const query = (c.req.query("q") ?? "").trim().toLowerCase();
  const page = pageNumber(c);
  const path = `/workers/scripts?search=${encodeURIComponent(query)}&page=${page}&per_page=${PER_PAGE}`;
  const [{ result: shown, result_info }, incidents] = await Promise.all([
    readReply<WorkerView[]>(c, path),
    readRecentIncidents(c),
  ]);
  const total = result_info?.total_count ?? 0;
  return (
    <Layout env={c.env} user={c.var.user} title="Workers">
      <h1>Workers</h1>
      <IncidentBanner incidents={incidents} />
      {total === 0 && query === "" ? (
        <p class="card">
          No Workers yet. Point wrangler at this server with <code>eval "$(npx sluice env)"</code> and run{" "}
          <code>wrangler deploy</code> in a project.
        </p>
      ) : (
        <>
          <search>
            <form class="search">
              <label for="q">Name contains</label> <input id="q" name="q" type="search" value={query} />{" "}
              <button type="submit" class="quiet">
                Search
              </button>
            </form>
          </search>
          <Table
            caption={plural(total, "Worker")}
            head={["Worker", "Split", "", "Rollout", "Deployed (UTC)"]}
          >
            {shown.map(({ id, versions, rollout, modified_on, enabled }) => (
              <tr>
                <th scope="row">
                  <a href={workerPath(id)}>{id}</a>
                  {enabled ? null : <span class="chip">no hostname</span>}
                </th>
                <td class="wide">
                  <SplitBar versions={versions} label={`Split of ${id}`} thin={true} />
                </td>
                <td>{splitText([...versions].sort((x, y) => x.number - y.number))}</td>
                <td>
                  {rollout === null ? null : (
                    <a href={workerPath(id, `/rollouts/${rollout.id}`)}>
                      <PhaseChip phase={rollout.phase} />
                    </a>
                  )}
                </td>
                <td>
                  <Time at={modified_on} />
                </td>
              </tr>
            ))}
          </Table>
          <Pages path={`/?q=${encodeURIComponent(query)}`} page={page} per_page={PER_PAGE} total={total} />
        </>
      )}
    </Layout>
  );
}
