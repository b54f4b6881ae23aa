/** `/workers/{worker}/settings`: settings of the Worker, which apply to all of its versions. */
import type { PropsWithChildren } from "hono/jsx";
import { type SourceInput, sourceText } from "../../versions/affinity.ts";
import { mayChange, type PageContext, read, scriptPath } from "../context.ts";
import { Alert, Csrf, Layout, workerPath } from "../layout.tsx";

interface Options {
  readonly expose_version: boolean;
  readonly protect: boolean;
  readonly retention: { readonly versions: number; readonly hours: number };
  readonly webhooks: readonly {
    readonly url: string;
    readonly format: string;
    readonly is_signed: boolean;
  }[];
}

export async function settingsPage(c: PageContext, worker: string, problem?: string) {
  const [options, affinity, subdomain] = await Promise.all([
    read<Options>(c, scriptPath(worker, "/options")),
    read<{ sources: SourceInput[]; is_default: boolean }>(c, scriptPath(worker, "/affinity")),
    read<{ enabled: boolean; previews_enabled: boolean }>(c, scriptPath(worker, "/subdomain")),
  ]);
  const readOnly = !mayChange(c);
  const Part = ({ name, title, children }: PropsWithChildren<{ name: string; title: string }>) => (
    <form class="card" method="post" action={workerPath(worker, `/settings/${name}`)}>
      <fieldset disabled={readOnly}>
        <legend>{title}</legend>
        <Csrf user={c.var.user} />
        {children}
        {readOnly ? null : <button type="submit">Save</button>}
      </fieldset>
    </form>
  );
  return (
    <Layout env={c.env} user={c.var.user} title={`Settings of ${worker}`} worker={worker} tab="Settings">
      <h1>Settings</h1>
      <Alert message={problem} />
      <Alert message={c.req.query("done") === "settings" ? "Saved." : undefined} kind="done" />
      <Part name="affinity" title="Affinity: where a request carries its key">
        <label for="sources">
          One source per line. The first one that a request has decides. The header
          Cloudflare-Workers-Version-Key always comes first.
        </label>
        <textarea id="sources" name="sources" rows={4} spellcheck={false}>
          {affinity.sources.map(sourceText).join("\n")}
        </textarea>
        <p class="hint">
          <code>header:X-User</code>, <code>cookie:session</code>, <code>address</code>,{" "}
          <code>issued-cookie</code>. A single line <code>default</code> restores the default
          {affinity.is_default ? " (in use now)" : ""}.
        </p>
      </Part>
      <Part name="hosts" title="Hostnames">
        <Check name="enabled" checked={subdomain.enabled}>
          Serve at the Worker's hostname
        </Check>
        <Check name="previews" checked={subdomain.previews_enabled}>
          Serve each version and alias at its own preview hostname
        </Check>
      </Part>
      <Part name="options" title="Deployments">
        <Check name="protect" checked={options.protect}>
          Protect splits: refuse <code>wrangler deploy</code> while two versions share the traffic
        </Check>
        <Check name="expose_version" checked={options.expose_version}>
          Name the version in every response (<code>Sluice-Version</code> header)
        </Check>
        <div class="fields">
          <label>
            Keep the assets of this many deployed versions
            <input name="versions" type="number" min="0" max="100" value={options.retention.versions} />
          </label>
          <label>
            or for this many hours, whichever is longer
            <input name="hours" type="number" min="0" max="8760" step="any" value={options.retention.hours} />
          </label>
        </div>
      </Part>
      <section class="card">
        <h2>Webhooks</h2>
        {options.webhooks.length === 0 ? <p>No webhooks yet.</p> : null}
        <ul>
          {options.webhooks.map(({ url, format, is_signed }) => (
            <li>
              {url} <span class="chip">{format}</span> {is_signed ? <span class="chip">signed</span> : null}
            </li>
          ))}
        </ul>
        <p class="hint">
          To change webhooks, send <code>PATCH …/scripts/{worker}/options</code> to the API. Webhooks have
          secrets, which do not belong on a page.
        </p>
      </section>
    </Layout>
  );
}

function Check({ name, checked, children }: PropsWithChildren<{ name: string; checked: boolean }>) {
  return (
    <label class="check">
      <input type="checkbox" name={name} checked={checked} /> <span>{children}</span>
    </label>
  );
}
