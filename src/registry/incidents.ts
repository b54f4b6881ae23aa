/** Ends of processes in which versions of a Worker ran, in its audit trail and for its webhooks. Called in transactions. */
import { incidentNews, type Notices } from "../rollout/notify.ts";
import { type Incident, versionsNamed } from "../versions/incident.ts";
import { WATCHDOG } from "./quarantine.ts";
import type { Database } from "./sql/index.ts";

/** Notes an incident that names versions of this Worker. The second time, and without a Worker, it does nothing. */
export function noteIncident(db: Database, notices: Notices, incident: Incident): void {
  const state = db.worker.state();
  if (state === undefined || db.audit.hasIncident(incident.id)) return;
  const now = Date.now();
  const { id, process, cause, at, evidence, culprit } = incident;
  const detail = {
    incident_id: id,
    process,
    cause,
    at,
    ...evidence,
    versions: versionsNamed(incident)
      .filter(({ worker }) => worker === state.name)
      .map(({ version }) => version),
    culprit: culprit?.worker === state.name ? culprit.version : null,
  };
  db.audit.add(now, { author: WATCHDOG, source: "api", action: "incident", detail });
  notices.add(state.settings.webhooks, incidentNews(state.name, incident), now);
}
