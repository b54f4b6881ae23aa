/** The frame of every page, and the components that pages share. */

import { raw } from "hono/html";
import type { Child, FC, PropsWithChildren } from "hono/jsx";
import type { Env } from "../lib/env.ts";
import { shortId } from "../lib/ids.ts";
import { isSafeMode } from "../lib/safe-mode.ts";
import type { SignedIn } from "./context.ts";
import { moment, splitText } from "./format.ts";

interface Frame {
  readonly env: Pick<Env, "SLUICE_BUILD" | "SLUICE_SAFE_MODE">;
  readonly user: SignedIn | undefined;
  readonly title: string;
  /** The Worker that the page shows, and the selected tab. */
  readonly worker?: string | undefined;
  readonly tab?: Tab | undefined;
  readonly scripts?: readonly ("charts" | "editor")[];
  /** Path of the event stream that updates the page while it is open. */
  readonly live?: string | undefined;
  readonly nonce?: string | undefined;
}

const TABS = ["Deployments", "Versions", "Rollouts", "Audit", "Settings"] as const;
type Tab = (typeof TABS)[number];

export const workerPath = (worker: string, rest = "") => `/workers/${encodeURIComponent(worker)}${rest}`;

const tabPath = (worker: string, tab: Tab) =>
  workerPath(worker, tab === "Deployments" ? "" : `/${tab.toLowerCase()}`);

export const Layout: FC<PropsWithChildren<Frame>> = ({ children, ...frame }) => {
  const { env, user, title, worker, tab, scripts = [], live, nonce } = frame;
  const file = (name: string) => `/static/${env.SLUICE_BUILD}/${name}`;
  return (
    <>
      {raw("<!doctype html>")}
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          {nonce === undefined ? null : <meta name="csp-nonce" content={nonce} />}
          <title>{`${title} · Sluice`}</title>
          <link rel="icon" href={file("icon.svg")} type="image/svg+xml" />
          <link rel="stylesheet" href={file("style.css")} />
          <script defer src={file("main.js")} />
          {scripts.map((name) => (
            <script defer src={file(`${name}.js`)} />
          ))}
        </head>
        <body data-live={live}>
          <a class="skip" href="#main">
            Skip to content
          </a>
          <header>
            <a class="brand" href="/">
              Sluice
            </a>
            {user === undefined ? null : <Account user={user} />}
          </header>
          {worker === undefined ? null : (
            <nav class="tabs" aria-label={`Worker ${worker}`}>
              <a class="worker" href={workerPath(worker)}>
                {worker}
              </a>
              {TABS.map((name) => (
                <a href={tabPath(worker, name)} aria-current={name === tab ? "page" : undefined}>
                  {name}
                </a>
              ))}
            </nav>
          )}
          <p id="connection" role="status" hidden={true} />
          {isSafeMode(env) ? (
            <p class="alert error banner" role="alert">
              Safe mode: stable versions serve everything, whatever the split says. Alarms, queues and crons
              wait. A start without <code>--safe-mode</code> ends it.
            </p>
          ) : null}
          <main id="main">{children}</main>
        </body>
      </html>
    </>
  );
};

const Account: FC<{ user: SignedIn }> = ({ user }) => (
  <nav class="account" aria-label="Account">
    <a href="/">Workers</a>
    <a href="/processes">Processes</a>
    <a href="/access">Access</a>
    <span>
      {user.author.email} <span class="chip">{user.role}</span>
    </span>
    <form method="post" action="/sign-out">
      <Csrf user={user} />
      <button type="submit" class="quiet">
        Sign out
      </button>
    </form>
  </nav>
);

export const Csrf: FC<{ user: SignedIn }> = ({ user }) => (
  <input type="hidden" name="csrf" value={user.csrf} />
);

export const Alert: FC<{ message: string | undefined; kind?: "error" | "done" }> = ({
  message,
  kind = "error",
}) =>
  message === undefined ? null : (
    <p class={`alert ${kind}`} role={kind === "error" ? "alert" : "status"}>
      {message}
    </p>
  );

export const Time: FC<{ at: string | null }> = ({ at }) =>
  at === null ? <>–</> : <time datetime={at}>{moment(at)}</time>;

/** A version's number and short id, linked to its page. */
export const VersionName: FC<{ worker: string; id: string; number?: number | undefined }> = ({
  worker,
  id,
  number,
}) => (
  <a class="version" href={workerPath(worker, `/versions/${id}`)} title={id}>
    {number === undefined ? "" : <b>#{number}</b>} <code>{shortId(id)}</code>
  </a>
);

interface BarShare {
  readonly version_id: string;
  readonly number: number;
  readonly percentage: number;
}

/** Shares as a bar, the stable version first. The colours are from the Okabe-Ito palette, for colour-blind readers. */
export const SplitBar: FC<{ versions: readonly BarShare[]; label: string; thin?: boolean }> = ({
  versions,
  label,
  thin,
}) => {
  const sorted = [...versions].sort((x, y) => x.number - y.number);
  let from = 0;
  return (
    <svg
      class={thin === true ? "bar thin" : "bar"}
      role="img"
      aria-label={`${label}: ${splitText(sorted)}`}
      viewBox="0 0 100 10"
      preserveAspectRatio="none"
    >
      <rect class="empty" x="0" y="0" width="100" height="10" />
      {sorted.map(({ percentage }, i) => {
        const x = from;
        from += percentage;
        const arm = i === 0 ? "stable" : "candidate";
        return <rect class={arm} x={x.toFixed(3)} y="0" width={percentage.toFixed(3)} height="10" />;
      })}
    </svg>
  );
};

const PHASE_NAMES: Readonly<Record<string, string>> = {
  pending: "pending",
  running: "running",
  holding: "holding",
  awaiting_approval: "waiting for approval",
  paused: "paused",
  promoted: "promoted",
  rolled_back: "rolled back",
  aborted: "aborted",
};

export const PhaseChip: FC<{ phase: string }> = ({ phase }) => (
  <span class={`chip phase ${phase}`}>{PHASE_NAMES[phase] ?? phase}</span>
);

export const Pages: FC<{ path: string; page: number; per_page: number; total: number }> = ({
  path,
  page,
  per_page,
  total,
}) => {
  const last = Math.max(Math.ceil(total / per_page), 1);
  if (last === 1) return null;
  const to = (number: number) => `${path}${path.includes("?") ? "&" : "?"}page=${number}`;
  return (
    <nav class="pages" aria-label="Pages">
      {page > 1 ? (
        <a rel="prev" href={to(page - 1)}>
          Newer
        </a>
      ) : null}
      <span>
        Page {page} of {last} ({total} total)
      </span>
      {page < last ? (
        <a rel="next" href={to(page + 1)}>
          Older
        </a>
      ) : null}
    </nav>
  );
};

/** A table that scrolls sideways if it is too wide. The caption is also the name of the scroll area. */
export const Table: FC<PropsWithChildren<{ caption: string; head: readonly Child[] }>> = ({
  caption,
  head,
  children,
}) => (
  <section class="scroll" aria-label={caption} tabindex={0}>
    <table>
      <caption>{caption}</caption>
      <thead>
        <tr>
          {head.map((cell) => (
            <th scope="col">{cell}</th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  </section>
);
