/** `sluice rollback`: gives all traffic to an earlier version, through a running server or on its data folder alone. */
import type { Command } from "commander";
import { call, findTarget, type Target } from "./api.ts";
import { DataDir, UsageError } from "./data.ts";
import { withAnswer, withExamples, workerCommand } from "./help.ts";
import { createLogger } from "./logger.ts";

interface Share {
  readonly version_id: string;
  readonly number: number;
  readonly percentage: number;
}

/** A deployment, as far as the choice of a version needs it. */
interface Deployed {
  readonly versions: readonly Share[];
}

interface RollbackOptions {
  readonly offline?: boolean;
  readonly message?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly dataDir: string;
}

/** What a rollback did. */
interface RolledBack {
  readonly worker: string;
  readonly before: readonly Share[];
  readonly after: readonly Share[];
  /** Null where the version served alone already, and nothing was changed. */
  readonly deployment_id: string | null;
  /** Whether no server runs, so that the change counts from the next start. */
  readonly offline: boolean;
}

/** How the API's refusal ends where secrets have changed since the version was made. */
const SECRETS_CHANGED = "[code: 10220]";

/** Deployments that the API lists at once. */
const PAGE = 100;

export function addRollbackCommand(program: Command): void {
  const command = workerCommand(program, "rollback", "Give all traffic to an earlier version")
    .argument("[version]", "ID of the version (default: the last older one that had all traffic)")
    .option(
      "--offline",
      "Change the data folder while no server runs on it. No version's code runs. For a server that does not get up",
    )
    .option("--message <text>", "Reason, for the audit trail")
    .option("--force", "Roll back even if that brings old values of secrets back");
  withExamples(
    withAnswer(command),
    "sluice rollback shop",
    "sluice rollback shop --offline --data-dir /var/lib/sluice",
  ).action(async (worker: string, version: string | undefined, options: RollbackOptions) => {
    const roll = (target: Target) => rollBack(target, worker, version, options);
    const done = options.offline
      ? await offline(options.dataDir, roll)
      : await roll(findTarget(options.dataDir));
    console.log(options.json ? JSON.stringify(done, null, 2) : textOf(done));
  });
}

async function offline<T>(dataDir: string, use: (api: Target) => Promise<T>): Promise<T> {
  // Only this needs the runtime.
  const { withOfflineApi } = await import("./processes/offline.ts");
  return withOfflineApi(new DataDir(dataDir), createLogger("error", false, process.stderr), use);
}

async function rollBack(
  target: Target,
  worker: string,
  version: string | undefined,
  { offline = false, message = "Rolled back", force }: RollbackOptions,
): Promise<RolledBack> {
  const path = `/workers/scripts/${encodeURIComponent(worker)}/deployments`;
  const history = await historyOf(target, path);
  const before = history[0]?.versions ?? [];
  const to = version ?? earlierVersion(history)?.version_id;
  if (to === undefined) {
    throw new UsageError(
      `"${worker}" has no earlier deployment in which an older version had all traffic. Name a version: sluice rollback ${worker} <version>. Nothing was changed.`,
    );
  }
  if (before.length === 1 && before[0]?.version_id === to) {
    return { worker, before, after: before, deployment_id: null, offline };
  }
  const body = {
    strategy: "percentage",
    versions: [{ version_id: to, percentage: 100 }],
    annotations: { "workers/message": message },
  };
  const url = force ? `${path}?force=true` : path;
  const { id } = await call<{ id: string }>(target, "POST", url, body).catch((error: Error) => {
    if (!error.message.includes(SECRETS_CHANGED)) throw error;
    throw new UsageError(`${error.message}\nNothing was changed. --force brings the old values back.`);
  });
  const [now] = await pageOf(target, path, 1);
  return { worker, before, after: now?.versions ?? [], deployment_id: id, offline };
}

/** All deployments, newest first. */
async function historyOf(target: Target, path: string): Promise<Deployed[]> {
  const found: Deployed[] = [];
  for (let page = 1; ; page++) {
    const next = await pageOf(target, path, page);
    found.push(...next);
    if (next.length < PAGE) return found;
  }
}

async function pageOf(target: Target, path: string, page: number): Promise<readonly Deployed[]> {
  const query = `?page=${page}&per_page=${PAGE}`;
  const { deployments } = await call<{ deployments: Deployed[] }>(target, "GET", `${path}${query}`);
  return deployments;
}

/**
 * The version to go back to: the last one that had all traffic and is older than the newest one that serves. So a second
 * rollback goes further back, and never to what the first one took away.
 *
 * @param newestFirst deployments, the active one first
 */
export function earlierVersion([active, ...earlier]: readonly Deployed[]): Share | undefined {
  const newest = Math.max(...(active?.versions ?? []).map(({ number }) => number));
  const alone = earlier.flatMap(({ versions }) => versions.filter(({ percentage }) => percentage === 100));
  return alone.find(({ number }) => number < newest);
}

function textOf({ worker, before, after, deployment_id, offline }: RolledBack): string {
  if (deployment_id === null)
    return `${sharesText(after)} of "${worker}" has all traffic already. Nothing was changed.`;
  return [
    `Worker  ${worker}`,
    `Before  ${sharesText(before)}`,
    `${offline ? "Next  " : "Now   "}  ${sharesText(after)}`,
    ...(offline ? ["The next start of the server serves this."] : []),
  ].join("\n");
}

function sharesText(shares: readonly Share[]): string {
  return shares
    .map(({ number, version_id, percentage }) => `#${number} ${version_id} ${percentage}%`)
    .join(", ");
}
