/** `/processes`: how the server's processes are, and which of them ended. */
import type { Health, ProcessHealth } from "../../metrics/types.ts";
import { CAUSES, type Incident, versionsNamed } from "../../versions/incident.ts";
import { type PageContext, read } from "../context.ts";
import { bytes, count, NONE } from "../format.ts";
import { Alert, Layout, Table, Time, VersionName, workerPath } from "../layout.tsx";

export async function processesPage(c: PageContext) {
  const [health, incidents] = await Promise.all([
    read<Health>(c, "/processes"),
    read<Incident[]>(c, "/incidents?per_page=1000"),
  ]);
  return (
    <Layout env={c.env} user={c.var.user} title="Processes">
      <h1>Processes</h1>
      <Alert message={staleText(health)} />
      <Processes health={health} />
      <Incidents incidents={incidents} />
    </Layout>
  );
}

function staleText({ is_stale, sampled_on, processes }: Health): string | undefined {
  if (is_stale)
    return `sluice serve has said nothing since ${sampled_on}. The figures below are of that time.`;
  return processes.length === 0 ? "sluice serve has not said yet how the processes are." : undefined;
}

function Processes({ health: { processes, disk } }: { health: Health }) {
  return (
    <>
      <Table
        caption="Processes"
        head={["Process", "State", "Memory", "Memory limit", "Descriptors", "Processor time", "Restarts"]}
      >
        {processes.map((process) => (
          <tr>
            <th scope="row">{process.name}</th>
            <td>{process.up ? "up" : "restarting"}</td>
            <td>{orNone(process.resident_memory_bytes, bytes)}</td>
            <td>{orNone(process.memory_limit_bytes, bytes)}</td>
            <td>
              {orNone(process.open_fds, count)} of {orNone(process.max_fds, count)}
            </td>
            <td>{orNone(process.cpu_seconds, (seconds) => `${seconds.toFixed(1)} s`)}</td>
            <td>{restartsText(process)}</td>
          </tr>
        ))}
      </Table>
      {disk === null ? null : (
        <p>
          Disk with the data folder: {bytes(disk.free_bytes)} of {bytes(disk.size_bytes)} free.
        </p>
      )}
    </>
  );
}

function orNone(value: number | null, show: (value: number) => string): string {
  return value === null ? NONE : show(value);
}

function restartsText({ restarts }: ProcessHealth): string {
  if (restarts === null) return NONE;
  const counted = CAUSES.filter((cause) => restarts[cause] > 0);
  return counted.length === 0 ? "0" : counted.map((cause) => `${restarts[cause]} ${cause}`).join(", ");
}

function Incidents({ incidents }: { incidents: readonly Incident[] }) {
  if (incidents.length === 0) return <p>No process has ended unasked.</p>;
  return (
    <Table
      caption="Incidents, newest first"
      head={["Time (UTC)", "Process", "Cause", "Evidence", "Versions"]}
    >
      {incidents.map((incident) => (
        <tr>
          <td>
            <Time at={incident.at} />
          </td>
          <td>{incident.process}</td>
          <td>{incident.cause}</td>
          <td class="text">
            {Object.entries(incident.evidence)
              .filter(([, value]) => value !== null)
              .map(([name, value]) => `${name} = ${value}`)
              .join(", ")}
          </td>
          <td>
            {versionsNamed(incident).map(({ worker, version }) => (
              <div>
                <a href={workerPath(worker)}>{worker}</a> <VersionName worker={worker} id={version} />
                {incident.culprit?.version === version ? <span class="chip">cause</span> : null}
              </div>
            ))}
          </td>
        </tr>
      ))}
    </Table>
  );
}
