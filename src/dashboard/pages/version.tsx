/** `/workers/{worker}/versions/{version}`, and `/workers/{worker}/diff`: one version, and a comparison of two. */

import type { Env } from "../../lib/env.ts";
import { shortId } from "../../lib/ids.ts";
import { bindingText, diffVersions, sourceOf } from "../code.ts";
import { mayChange, type PageContext, PageError, read, scriptPath } from "../context.ts";
import { bytes, milliseconds, plural } from "../format.ts";
import { Alert, Layout, SplitBar, Table, Time, VersionName, workerPath } from "../layout.tsx";
import type { VersionWithCode } from "../types.ts";
import { readActive } from "../worker.ts";

export function previewUrl(env: Env, worker: string, label: string): string {
  return env.SLUICE_TRAFFIC_ORIGIN.replace(env.SLUICE_DOMAIN, `${label}-${worker}.${env.SLUICE_DOMAIN}`);
}

export function readWithCode(c: PageContext, worker: string, id: string): Promise<VersionWithCode> {
  return read(c, scriptPath(worker, `/versions/${encodeURIComponent(id)}?include=modules`));
}

export async function versionPage(c: PageContext, worker: string, id: string) {
  const [version, active] = await Promise.all([readWithCode(c, worker, id), readActive(c, worker)]);
  const { number, metadata, annotations, resources, main_module } = version;
  const sources = version.modules.map(sourceOf);
  const main = sources.find(({ name }) => name === main_module);
  const share = active?.versions.find(({ version_id }) => version_id === id);
  const alias = annotations["workers/alias"];
  return (
    <Layout env={c.env} user={c.var.user} title={`#${number} of ${worker}`} worker={worker} tab="Versions">
      <h1>
        Version #{number} <code>{shortId(id)}</code>
      </h1>
      <Alert
        message={c.req.query("done") === "saved" ? "Version created. It gets no traffic yet." : undefined}
        kind="done"
      />
      {share === undefined || active === undefined ? null : (
        <SplitBar
          versions={active.versions}
          label={`Active split, ${share.percentage}% for this version`}
          thin={true}
        />
      )}
      {mayChange(c) ? (
        <p class="actions">
          <a class="button" href={workerPath(worker, `?candidate=${id}#change`)}>
            Send traffic to it…
          </a>
          <a class="button quiet" href={workerPath(worker, `/versions/${id}/edit`)}>
            Edit…
          </a>
        </p>
      ) : null}
      <dl class="card facts">
        <dt>ID</dt>
        <dd>
          <code>{id}</code>
        </dd>
        <dt>Created (UTC)</dt>
        <dd>
          <Time at={metadata.created_on} /> by {metadata.author_email}, {metadata.source}
        </dd>
        <dt>Message</dt>
        <dd>{annotations["workers/message"] ?? "–"}</dd>
        <dt>Tag</dt>
        <dd>{annotations["workers/tag"] ?? "–"}</dd>
        <dt>Compatibility</dt>
        <dd>
          {resources.script_runtime.compatibility_date}{" "}
          {resources.script_runtime.compatibility_flags.join(", ")}
        </dd>
        <dt>Handlers</dt>
        <dd>{resources.script.handlers.join(", ") || "–"}</dd>
        <dt>Startup time</dt>
        <dd>{milliseconds(version.startup_time_ms)}</dd>
        <dt>Preview</dt>
        <dd>
          {metadata.has_preview ? (
            [shortId(id), ...(alias === undefined ? [] : [alias])].map((label) => (
              <>
                <a href={previewUrl(c.env, worker, label)} rel="noreferrer">
                  {previewUrl(c.env, worker, label)}
                </a>{" "}
              </>
            ))
          ) : (
            <>Turned off in the Worker's settings</>
          )}
        </dd>
        <dt>Logs</dt>
        <dd>
          <code>{`npx sluice wrangler tail ${worker} --version-id ${id}`}</code>
        </dd>
      </dl>
      <Table caption={plural(resources.bindings.length, "binding")} head={["Name", "Type", "Value"]}>
        {resources.bindings.map((binding) => (
          <tr>
            <th scope="row">{binding.name}</th>
            <td>{binding.type}</td>
            <td class="text">
              <code>{bindingText(binding).split("  ").slice(2).join("  ")}</code>
            </td>
          </tr>
        ))}
      </Table>
      <Table caption={plural(sources.length, "module")} head={["Name", "Size"]}>
        {sources.map(({ name, size }) => (
          <tr>
            <th scope="row">
              {name} {name === main_module ? <span class="chip">main</span> : null}
            </th>
            <td>{bytes(size)}</td>
          </tr>
        ))}
      </Table>
      <h2>{main_module}</h2>
      {main?.text === undefined ? (
        <p>This module is not text, or too long to show.</p>
      ) : (
        <pre class="code" tabindex={0}>
          <code>{main.text}</code>
        </pre>
      )}
    </Layout>
  );
}

export async function diffPage(c: PageContext, worker: string) {
  const [from, to] = [c.req.query("from"), c.req.query("to")];
  if (from === undefined || to === undefined) throw new PageError(400, "Choose two versions to compare.");
  const [before, after] = await Promise.all([readWithCode(c, worker, from), readWithCode(c, worker, to)]);
  const files = diffVersions(before, after);
  return (
    <Layout
      env={c.env}
      user={c.var.user}
      title={`Compare versions of ${worker}`}
      worker={worker}
      tab="Versions"
    >
      <h1>
        <VersionName worker={worker} id={before.id} number={before.number} /> →{" "}
        <VersionName worker={worker} id={after.id} number={after.number} />
      </h1>
      {files.length === 0 ? (
        <p>Code, bindings and compatibility settings are the same. Values of secrets are not compared.</p>
      ) : null}
      {files.map(({ name, lines, note }) => (
        <section aria-label={`Changes in ${name}`}>
          <h2>{name}</h2>
          {note === undefined ? null : <p>{note}</p>}
          {lines.length === 0 ? null : (
            <pre class="code diff" tabindex={0}>
              {lines.map(({ kind, text }) => (
                <span class={kind}>{`${SIGNS[kind]} ${text}\n`}</span>
              ))}
            </pre>
          )}
        </section>
      ))}
    </Layout>
  );
}

const SIGNS = { same: " ", added: "+", removed: "-", hunk: "" } as const;
