/** `/workers/{worker}/settings`: what belongs to the Worker and not to a version. */
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
      <Part name="affinity" title="Affinity: where requests carry their key">
        <label for="sources">
          One source on each line, in their order. Cloudflare-Workers-Version-Key comes before all of them.
        </label>
        <textarea id="sources" name="sources" rows={4} spellcheck={false}>
          {affinity.sources.map(sourceText).join("\n")}
        </textarea>
        <p class="hint">
          <code>header:X-User</code>, <code>cookie:session</code>, <code>address</code>,{" "}
          <code>issued-cookie</code>; <code>default</code> alone restores the default
          {affinity.is_default ? " (as it is now)" : ""}.
        </p>
      </Part>
      <Part name="hosts" title="Hostnames">
        <Check name="enabled" checked={subdomain.enabled}>
          Serve under the Worker's own hostname
        </Check>
        <Check name="previews" checked={subdomain.previews_enabled}>
          Serve each version and alias under a hostname of its own (previews)
        </Check>
      </Part>
      <Part name="options" title="Deployments">
        <Check name="protect" checked={options.protect}>
          Protect splits: <code>wrangler deploy</code> may not replace a split
        </Check>
        <Check name="expose_version" checked={options.expose_version}>
          Show the version in responses (<code>Sluice-Version</code>)
        </Check>
        <div class="fields">
          <label>
            Assets of how many deployed versions are kept
            <input name="versions" type="number" min="0" max="100" value={options.retention.versions} />
          </label>
          <label>
            and for how many hours
            <input name="hours" type="number" min="0" max="8760" step="any" value={options.retention.hours} />
          </label>
        </div>
      </Part>
      <section class="card">
        <h2>Webhooks</h2>
        {options.webhooks.length === 0 ? <p>None.</p> : null}
        <ul>
          {options.webhooks.map(({ url, format, is_signed }) => (
            <li>
              {url} <span class="chip">{format}</span> {is_signed ? <span class="chip">signed</span> : null}
            </li>
          ))}
        </ul>
        <p class="hint">
          Set them with <code>PATCH …/scripts/{worker}/options</code>: a secret is not for a page.
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
