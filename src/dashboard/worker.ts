/** Reads from the API what several pages of a Worker show. */
import { shortId } from "../lib/ids.ts";
import type { Share } from "../versions/types.ts";
import { type PageContext, read, readReply, scriptPath } from "./context.ts";
import type { DeploymentView, MetricsView, RolloutView, VersionView } from "./types.ts";

/** How many versions a form offers, newest first. */
const OFFERED = 100;

export interface PagedDeployment extends Omit<DeploymentView, "versions"> {
  readonly versions: readonly Share[];
}

export async function readDeployments(c: PageContext, worker: string, page: number, perPage: number) {
  const reply = await readReply<{ deployments: PagedDeployment[] }>(
    c,
    scriptPath(worker, `/deployments?page=${page}&per_page=${perPage}`),
  );
  return { deployments: reply.result.deployments, total: reply.result_info?.total_count ?? 0 };
}

/** The active deployment. */
export async function readActive(c: PageContext, worker: string): Promise<PagedDeployment | undefined> {
  return (await readDeployments(c, worker, 1, 1)).deployments[0];
}

export function readMetrics(c: PageContext, worker: string): Promise<MetricsView> {
  return read(c, scriptPath(worker, "/metrics?series=true"));
}

export async function readVersions(c: PageContext, worker: string, page = 1, perPage = OFFERED) {
  const reply = await readReply<{ items: VersionView[] }>(
    c,
    scriptPath(worker, `/versions?page=${page}&per_page=${perPage}`),
  );
  return { versions: reply.result.items, total: reply.result_info?.total_count ?? 0 };
}

export function readVersion(c: PageContext, worker: string, id: string): Promise<VersionView> {
  return read(c, scriptPath(worker, `/versions/${encodeURIComponent(id)}`));
}

export function readRollouts(
  c: PageContext,
  worker: string,
): Promise<Omit<RolloutView, "trail" | "history">[]> {
  return read(c, scriptPath(worker, "/rollouts"));
}

/** A version's name in a sentence. */
export function nameOf(id: string, numbers: ReadonlyMap<string, number>): string {
  const number = numbers.get(id);
  if (number !== undefined) return `#${number} (${shortId(id)})`;
  return id === "other" ? "older versions" : shortId(id);
}

export function numbersOf(
  ...lists: readonly (readonly {
    readonly id?: string;
    readonly version_id?: string;
    readonly number: number;
  }[])[]
): Map<string, number> {
  return new Map(lists.flat().map(({ id, version_id, number }) => [id ?? version_id ?? "", number]));
}
