/** `/workers/{worker}/versions`: all versions, with their shares, and the choice of two to compare. */
import { shortId } from "../../lib/ids.ts";
import { mayChange, type PageContext, pageNumber } from "../context.ts";
import { percent, plural } from "../format.ts";
import { Layout, Pages, Table, Time, VersionName, workerPath } from "../layout.tsx";
import { readActive, readVersions } from "../worker.ts";
import { previewUrl } from "./version.tsx";

const PER_PAGE = 50;

export async function versionsPage(c: PageContext, worker: string) {
  const page = pageNumber(c);
  const [{ versions, total }, active] = await Promise.all([
    readVersions(c, worker, page, PER_PAGE),
    readActive(c, worker),
  ]);
  const shares = new Map(active?.versions.map(({ version_id, percentage }) => [version_id, percentage]));
  return (
    <Layout env={c.env} user={c.var.user} title={`Versions of ${worker}`} worker={worker} tab="Versions">
      <h1>Versions</h1>
      {mayChange(c) && page === 1 && versions[0] !== undefined ? (
        <p class="actions">
          <a class="button" href={workerPath(worker, `/versions/${versions[0].id}/edit`)}>
            Edit the newest version…
          </a>
        </p>
      ) : null}
      <form action={workerPath(worker, "/diff")}>
        <Table
          caption={`${plural(total, "version")}, newest first`}
          head={["From", "To", "Version", "Share", "Created (UTC)", "Author", "Message", "Tag", ""]}
        >
          {versions.map(({ id, number, metadata, annotations }, i) => (
            <tr>
              <td>
                <input
                  type="radio"
                  name="from"
                  value={id}
                  aria-label={`Compare from #${number}`}
                  checked={i === 1}
                />
              </td>
              <td>
                <input
                  type="radio"
                  name="to"
                  value={id}
                  aria-label={`Compare to #${number}`}
                  checked={i === 0}
                />
              </td>
              <th scope="row">
                <VersionName worker={worker} id={id} number={number} />
              </th>
              <td>{shares.has(id) ? <span class="chip">{percent(shares.get(id) ?? 0, 3)}</span> : null}</td>
              <td>
                <Time at={metadata.created_on} />
              </td>
              <td>
                {metadata.author_email} <small>{metadata.source}</small>
              </td>
              <td class="text">{annotations["workers/message"] ?? ""}</td>
              <td>{annotations["workers/tag"] ?? ""}</td>
              <td>
                {metadata.has_preview ? (
                  <a href={previewUrl(c.env, worker, shortId(id))} rel="noreferrer">
                    Preview
                  </a>
                ) : null}
              </td>
            </tr>
          ))}
        </Table>
        {versions.length > 1 ? (
          <button type="submit" class="quiet">
            Compare versions
          </button>
        ) : null}
      </form>
      <Pages path={workerPath(worker, "/versions")} page={page} per_page={PER_PAGE} total={total} />
    </Layout>
  );
}
