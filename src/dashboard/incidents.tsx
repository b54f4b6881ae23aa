/** Incidents of the server's processes, as banners above a page. */
import type { FC } from "hono/jsx";
import { type Incident, incidentText, versionsNamed } from "../versions/incident.ts";
import { type PageContext, read } from "./context.ts";
import { Time } from "./layout.tsx";

/** How long an incident stays on the banner, in ms. */
const RECENT_MS = 3_600_000;
/** Incidents on the banner. The page of the processes has the others. */
const SHOWN = 3;

/** The incidents of the last hour, newest first. @param worker only those in which a version of this Worker ran */
export async function readRecentIncidents(c: PageContext, worker?: string): Promise<Incident[]> {
  const incidents = await read<Incident[]>(c, "/incidents");
  const since = Date.now() - RECENT_MS;
  return incidents.filter(
    (incident) =>
      Date.parse(incident.at) >= since &&
      (worker === undefined || versionsNamed(incident).some((named) => named.worker === worker)),
  );
}

export const IncidentBanner: FC<{ incidents: readonly Incident[] }> = ({ incidents }) =>
  incidents.length === 0 ? null : (
    <section class="alert error" role="status" aria-label="Incidents of the last hour">
      <ul>
        {incidents.slice(0, SHOWN).map((incident) => (
          <li>
            <Time at={incident.at} /> {incidentText(incident)}
          </li>
        ))}
      </ul>
      <a href="/processes">
        {incidents.length === 1
          ? "The server's processes"
          : `All ${incidents.length} incidents of the last hour`}
      </a>
    </section>
  );
