/** `/workers/{worker}/audit`: who changed what, and when. */

import { shortId } from "../../lib/ids.ts";
import type { Share } from "../../versions/types.ts";
import { type PageContext, pageNumber, readReply, scriptPath } from "../context.ts";
import { splitText } from "../format.ts";
import { Layout, Pages, Table, Time, workerPath } from "../layout.tsx";
import type { AuditView } from "../types.ts";

const PER_PAGE = 50;

export async function auditPage(c: PageContext, worker: string) {
  const page = pageNumber(c);
  const { result, result_info } = await readReply<AuditView[]>(
    c,
    scriptPath(worker, `/audit?page=${page}&per_page=${PER_PAGE}`),
  );
  return (
    <Layout env={c.env} user={c.var.user} title={`Audit of ${worker}`} worker={worker} tab="Audit">
      <h1>Audit</h1>
      <Table
        caption="Changes, newest first. Entries are never removed."
        head={["Time (UTC)", "Author", "Source", "Action", "Details"]}
      >
        {result.map((entry) => (
          <tr>
            <td>
              <Time at={entry.time} />
            </td>
            <td>{entry.author_email}</td>
            <td>{entry.source}</td>
            <td>{entry.action}</td>
            <td class="text">{describe(entry)}</td>
          </tr>
        ))}
      </Table>
      <Pages
        path={workerPath(worker, "/audit")}
        page={page}
        per_page={PER_PAGE}
        total={result_info?.total_count ?? 0}
      />
    </Layout>
  );
}

function describe({ action, detail }: AuditView): string {
  const message = typeof detail.message === "string" ? `: ${detail.message}` : "";
  switch (action) {
    case "version":
      return `#${detail.number} ${shortId(String(detail.version_id))} (${detail.triggered_by})${message}`;
    case "deployment": {
      const before = detail.before as readonly Share[];
      const from = before.length === 0 ? "" : `${splitText(before)} → `;
      return `${from}${splitText(detail.versions as readonly Share[])}${message}`;
    }
    case "rollout":
      return `${shortId(String(detail.rollout_id))}: ${detail.event} → ${detail.phase}, stage ${detail.stage}: ${detail.reason}`;
    case "incident": {
      const versions = (detail.versions as readonly string[]).map(shortId).join(", ");
      const blame = detail.culprit === null ? "under way" : "the cause";
      return `process ${detail.process} ended (${detail.cause}), ${blame}: ${versions}`;
    }
    default:
      return Object.entries(detail)
        .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
        .join(", ");
  }
}
