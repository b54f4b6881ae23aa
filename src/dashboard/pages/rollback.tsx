/** `/workers/{worker}/rollback`: asks for confirmation, and says who moves and which secrets have changed. */

import type { Share } from "../../versions/types.ts";
import type { PageContext } from "../context.ts";
import { messageOf, PageError, scriptPath } from "../context.ts";
import { splitText } from "../format.ts";
import { Alert, Csrf, Layout, Time, workerPath } from "../layout.tsx";
import { describeMoves, movesBetween } from "../moves.ts";
import {
  nameOf,
  numbersOf,
  type PagedDeployment,
  readActive,
  readDeployments,
  readVersion,
} from "../worker.ts";

/** Cloudflare's error code for a rollback to a version from before a secret changed. */
const SECRETS_CHANGED = 10220;

export async function rollbackPage(c: PageContext, worker: string) {
  const active = await readActive(c, worker);
  const target = await readTarget(c, worker);
  if (active === undefined || target === undefined)
    throw new PageError(404, "This deployment does not exist.");
  const numbers = numbersOf(active.versions, target);
  const checked = await c.var.call("POST", scriptPath(worker, "/deployments?dry_run=true"), {
    strategy: "percentage",
    versions: target.map(({ version_id, percentage }) => ({ version_id, percentage })),
  });
  const isForced = checked.errors.some(({ code }) => code === SECRETS_CHANGED);
  const refused = checked.success || isForced ? undefined : messageOf(checked);
  const moves = describeMoves(movesBetween(active.versions, target), (id) => nameOf(id, numbers));
  const [version] =
    target.length === 1 ? await Promise.all([readVersion(c, worker, target[0]?.version_id ?? "")]) : [];
  return (
    <Layout env={c.env} user={c.var.user} title={`Roll back ${worker}`} worker={worker} tab="Deployments">
      <h1>Roll back {worker}?</h1>
      <Alert message={refused} />
      {isForced ? <Alert message={`Secrets have changed since that version. ${messageOf(checked)}`} /> : null}
      <div class="card">
        <p>
          Now: <b>{splitText(active.versions)}</b>
        </p>
        <p>
          After the rollback:{" "}
          <b>
            {target
              .map(({ version_id, percentage }) => `${percentage}% ${nameOf(version_id, numbers)}`)
              .join(", ")}
          </b>
          {version === undefined ? null : (
            <>
              , created <Time at={version.metadata.created_on} /> by {version.metadata.author_email}
              {messageText(version.annotations["workers/message"])}
            </>
          )}
        </p>
        <p>{moves.join(" ")}</p>
        {refused === undefined ? (
          <form method="post" action={workerPath(worker, "/rollback")}>
            <Csrf user={c.var.user} />
            <input type="hidden" name="base" value={active.id} />
            {isForced ? <input type="hidden" name="force" value="true" /> : null}
            {target.map(({ version_id, percentage }) => (
              <input type="hidden" name="share" value={`${version_id} ${percentage}`} />
            ))}
            <label>
              Message <input name="message" type="text" maxlength={1000} placeholder="Why?" />
            </label>
            <button type="submit" class="danger">
              {isForced ? "Roll back and use the older secrets" : "Roll back"}
            </button>{" "}
            <a href={workerPath(worker)}>Cancel</a>
          </form>
        ) : (
          <a href={workerPath(worker)}>Back</a>
        )}
      </div>
    </Layout>
  );
}

const messageText = (message: string | undefined) => (message === undefined ? "" : `: ${message}`);

async function readTarget(c: PageContext, worker: string): Promise<readonly Share[] | undefined> {
  const to = c.req.query("to");
  if (to !== undefined) {
    const { id, number } = await readVersion(c, worker, to);
    return [{ version_id: id, number, percentage: 100 }];
  }
  const id = c.req.query("deployment");
  // The API has no path for one deployment, so the pages are searched.
  for (let page = 1; ; page++) {
    const { deployments, total } = await readDeployments(c, worker, page, 1_000);
    const found = deployments.find((deployment: PagedDeployment) => deployment.id === id);
    if (found !== undefined) return found.versions;
    if (page * 1_000 >= total) return undefined;
  }
}
