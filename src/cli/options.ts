/** `sluice affinity`, `sluice protect` and `sluice options`: the settings of a Worker that wrangler cannot change. */
import { parseSource, type SourceInput } from "../versions/affinity.ts";
import { call, type Target } from "./api.ts";
import { UsageError } from "./data.ts";

/** Lets a version in quarantine run again; without one, every version and event that is kept from running. */
export async function release(target: Target, worker: string, version: string | undefined): Promise<string> {
  if (version === undefined) {
    await call(target, "DELETE", pathOf(worker, "quarantine"));
    return `Everything of ${worker} can run again.`;
  }
  await call(target, "DELETE", `${pathOf(worker, "quarantine")}/${encodeURIComponent(version)}`);
  return `Version ${version} of ${worker} can be deployed again.`;
}

interface AffinityReply {
  readonly sources: readonly SourceInput[];
  readonly is_default: boolean;
}

interface Options {
  readonly expose_version: boolean;
  readonly protect: boolean;
  readonly retention: { readonly versions: number; readonly hours: number };
}

const pathOf = (worker: string, what: string) => `/workers/scripts/${encodeURIComponent(worker)}/${what}`;

/** @param sources new sources; none to show the current ones, `default` to restore the default */
export async function affinity(
  target: Target,
  worker: string,
  sources: readonly string[],
  json: boolean,
): Promise<string> {
  const path = pathOf(worker, "affinity");
  const isReset = sources.length === 1 && sources[0] === "default";
  const body = { sources: isReset ? null : readSources(sources) };
  const reply =
    sources.length === 0
      ? await call<AffinityReply>(target, "GET", path)
      : await call<AffinityReply>(target, "PUT", path, body);
  if (json) return JSON.stringify(reply, null, 2);
  const lines = ["header  Cloudflare-Workers-Version-Key", ...reply.sources.map(showSource)];
  const title = `The key of a request to "${worker}" is the first of these that it has${reply.is_default ? " (default)" : ""}:`;
  return [title, ...lines.map((line, i) => `  ${i + 1}. ${line}`)].join("\n");
}

function readSources(sources: readonly string[]): SourceInput[] {
  return sources.map((text) => {
    const source = parseSource(text);
    if (!source.ok) throw new UsageError(source.error);
    return source.value;
  });
}

function showSource({ type, name, max_age }: SourceInput): string {
  switch (type) {
    case "issued_cookie":
      return `cookie  ${name}, set by Sluice for ${max_age} s if the request has none`;
    case "address":
      return "the client's address, if the server was started with --address-header";
    default:
      return `${type}  ${name}`;
  }
}

/** @param change options to set; empty to show the current ones */
export async function options(
  target: Target,
  worker: string,
  change: Partial<Omit<Options, "retention">> & { readonly retention?: Partial<Options["retention"]> },
  json: boolean,
): Promise<string> {
  const path = pathOf(worker, "options");
  const before = await call<Options>(target, "GET", path);
  const { retention, ...rest } = change;
  const body = {
    ...rest,
    ...(retention === undefined ? {} : { retention: { ...before.retention, ...retention } }),
  };
  const now = Object.keys(body).length === 0 ? before : await call<Options>(target, "PATCH", path, body);
  if (json) return JSON.stringify(now, null, 2);
  const onOff = (on: boolean) => (on ? "on" : "off");
  return [
    `protect         ${onOff(now.protect).padEnd(5)} refuse wrangler deploy while two versions are deployed`,
    `expose-version  ${onOff(now.expose_version).padEnd(5)} name the version in every response (Sluice-Version header)`,
    `retain          ${now.retention.versions} versions, ${now.retention.hours} hours: how long assets are kept after their deployment`,
  ].join("\n");
}
