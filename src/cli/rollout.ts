/** `sluice rollout`: calls the API for rollouts. */
import type { Certificate } from "../rollout/certificate.ts";
import { parseStages, type StageInput } from "../rollout/plan.ts";
import { call, type Target } from "./api.ts";
import { UsageError } from "./data.ts";
import type { RolloutView } from "./rollout-text.ts";

const pathOf = (worker: string, rest = "") =>
  `/workers/scripts/${encodeURIComponent(worker)}/rollouts${rest}`;

/** @throws UsageError where a part is not a stage */
export function readStages(text: string): StageInput[] {
  const stages = parseStages(text);
  if (!stages.ok) throw new UsageError(stages.error);
  return stages.value;
}

export function start(target: Target, worker: string, body: object): Promise<RolloutView> {
  return call<RolloutView>(target, "POST", pathOf(worker), body);
}

export function list(target: Target, worker: string): Promise<RolloutView[]> {
  return call<RolloutView[]>(target, "GET", pathOf(worker));
}

/** @param id undefined for the newest rollout */
export async function find(target: Target, worker: string, id: string | undefined): Promise<RolloutView> {
  if (id !== undefined) return call<RolloutView>(target, "GET", pathOf(worker, `/${encodeURIComponent(id)}`));
  const [newest] = await list(target, worker);
  if (newest === undefined)
    throw new UsageError(
      `No rollouts of "${worker}" yet. Start one with sluice rollout start ${worker} --to <version>.`,
    );
  return newest;
}

export async function command(
  target: Target,
  worker: string,
  id: string | undefined,
  what: string,
): Promise<RolloutView> {
  const rollout = await find(target, worker, id);
  return call<RolloutView>(target, "POST", pathOf(worker, `/${rollout.id}/${what}`), {});
}

/** @param id undefined for the newest rollout */
export async function certificate(
  target: Target,
  worker: string,
  id: string | undefined,
): Promise<Certificate> {
  const rollout = await find(target, worker, id);
  return call<Certificate>(target, "GET", pathOf(worker, `/${rollout.id}/certificate`));
}
