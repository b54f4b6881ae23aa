/** `/workers/{worker}/versions/{version}/edit`: edits the main module of a small Worker and saves it as a new version. */

import { decodeBase64 } from "hono/utils/encode";
import { shortId } from "../../lib/ids.ts";
import { LIMITS } from "../../lib/limits.ts";
import { SERVICE_WORKER_MODULE } from "../../versions/names.ts";
import { sourceOf } from "../code.ts";
import { messageOf, type PageContext, scriptPath } from "../context.ts";
import { Alert, Csrf, Layout, workerPath } from "../layout.tsx";
import type { VersionView, VersionWithCode } from "../types.ts";
import { readVersions } from "../worker.ts";
import { readWithCode } from "./version.tsx";

interface EditInput {
  readonly code: string;
  readonly message: string;
}

export async function editPage(
  c: PageContext,
  worker: string,
  id: string,
  given: { readonly problem?: string; readonly input?: EditInput } = {},
) {
  const [version, { versions }] = await Promise.all([
    readWithCode(c, worker, id),
    readVersions(c, worker, 1, 1),
  ]);
  const refused = whyNot(version, versions[0]);
  const nonce = c.get("secureHeadersNonce" as never) as string | undefined;
  return (
    <Layout
      env={c.env}
      user={c.var.user}
      title={`Edit ${worker}`}
      worker={worker}
      tab="Versions"
      scripts={["editor"]}
      nonce={nonce}
    >
      <h1>
        Edit {version.main_module} of #{version.number} <code>{shortId(id)}</code>
      </h1>
      <Alert message={given.problem ?? refused} />
      {refused !== undefined && given.input === undefined ? (
        <p>
          <a href={workerPath(worker, `/versions/${id}`)}>Back to version #{version.number}</a>
        </p>
      ) : (
        <form class="card" method="post" action={workerPath(worker, `/versions/${id}/edit`)} id="edit-form">
          <Csrf user={c.var.user} />
          <label for="code">Code</label>
          <textarea id="code" name="code" rows={24} spellcheck={false} autocomplete="off">
            {given.input?.code ?? mainOf(version)?.text ?? ""}
          </textarea>
          <p class="hint">
            Bindings, other modules, assets and the compatibility date do not change. Press Escape, then Tab,
            to leave the editor.
          </p>
          <label>
            Message{" "}
            <input
              name="message"
              type="text"
              maxlength={1000}
              value={given.input?.message ?? ""}
              placeholder="What did you change, and why?"
            />
          </label>
          <div class="actions">
            <button type="submit" name="then" value="save">
              Save
            </button>
            <button type="submit" name="then" value="deploy" class="danger">
              Deploy to 100%
            </button>
            <span class="hint">
              Save creates a version without traffic. Deploy creates it and gives it all traffic.
            </span>
          </div>
        </form>
      )}
    </Layout>
  );
}

const mainOf = ({ modules, main_module }: VersionWithCode) =>
  modules.map(sourceOf).find(({ name }) => name === main_module);

/** Why a version cannot be edited here; undefined if it can. */
function whyNot(version: VersionWithCode, latest: VersionView | undefined): string | undefined {
  if (latest?.id !== version.id) {
    return `Only the newest version, #${latest?.number}, can be edited: a new version inherits its bindings and secrets.`;
  }
  if (version.main_module === SERVICE_WORKER_MODULE)
    return "This Worker uses service-worker syntax. Edit it in its project.";
  const main = mainOf(version);
  if (main?.text === undefined || main.size > LIMITS.dashboard.maxEditedBytes) {
    return `The main module is larger than ${LIMITS.dashboard.maxEditedBytes / 1024} KiB. Edit it in its project.`;
  }
  return undefined;
}

/** Uploads the newest version again with the edited main module. @returns the new version's id, or what is wrong */
export async function saveEdit(
  c: PageContext,
  worker: string,
  id: string,
  { code, message }: EditInput,
): Promise<{ readonly id: string } | { readonly problem: string }> {
  const [version, { versions }] = await Promise.all([
    readWithCode(c, worker, id),
    readVersions(c, worker, 1, 1),
  ]);
  const refused = whyNot(version, versions[0]);
  if (refused !== undefined) return { problem: refused };
  const { resources, main_module, modules } = version;
  const metadata = {
    main_module,
    compatibility_date: resources.script_runtime.compatibility_date,
    compatibility_flags: resources.script_runtime.compatibility_flags,
    bindings: resources.bindings.map(({ name }) => ({ type: "inherit", name })),
    keep_assets: true,
    annotations: { "workers/message": message || "Edited on the dashboard" },
  };
  const form = new FormData();
  form.set("metadata", JSON.stringify(metadata));
  for (const { name, content_type, content_base64 } of modules) {
    // A source map would not match the edited code.
    if (content_type === "application/source-map") continue;
    const content = name === main_module ? code : decodeBase64(content_base64);
    form.append(name, new File([content], name, { type: content_type }));
  }
  const made = await c.var.call<{ id: string }>("POST", scriptPath(worker, "/versions"), form);
  return made.success ? { id: made.result.id } : { problem: messageOf(made) };
}
