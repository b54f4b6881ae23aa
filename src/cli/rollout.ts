/** `sluice rollout`: calls the API for rollouts, and shows them in words. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseStages, type StageInput } from "../rollout/plan.ts";
import { call, type Target } from "./api.ts";
import { UsageError } from "./data.ts";

interface Arm {
  readonly exposures: number;
  readonly failures: number;
}

/** The API's view of a rollout, as far as it is printed. */
export interface RolloutView {
  readonly id: string;
  readonly worker: string;
  readonly phase: string;
  readonly reason: string;
  readonly settled_ms: number | null;
  readonly candidate_version_id: string;
  readonly stable_version_id: string;
  readonly created_on: string;
  readonly stage: number;
  readonly stage_since: string;
  readonly plan: {
    readonly stages: readonly {
      percentage: number;
      soak_seconds: number;
      min_exposures: number;
      approval: string;
    }[];
  };
  readonly gates: Readonly<
    Record<string, { e_value: number; threshold: number; total: { candidate: Arm; stable: Arm } }>
  >;
}

export interface StartOptions {
  readonly to: string;
  readonly stages?: string;
  readonly template?: string;
  readonly onFail?: string;
  readonly alpha?: number;
  readonly minExposures?: number;
}

export function readStages(text: string): StageInput[] {
  const stages = parseStages(text);
  if (!stages.ok) throw new UsageError(stages.error);
  return stages.value;
}

const pathOf = (worker: string, rest = "") =>
  `/workers/scripts/${encodeURIComponent(worker)}/rollouts${rest}`;

export function start(target: Target, worker: string, options: StartOptions): Promise<RolloutView> {
  const { to, stages, template, onFail, alpha, minExposures } = options;
  const parsed = stages === undefined ? undefined : readStages(stages);
  return call<RolloutView>(target, "POST", pathOf(worker), {
    version_id: to,
    ...(parsed === undefined
      ? {}
      : {
          stages: parsed.map((stage) =>
            minExposures === undefined ? stage : { ...stage, min_exposures: minExposures },
          ),
        }),
    ...(template === undefined ? {} : { template }),
    ...(onFail === undefined ? {} : { on_fail: onFail }),
    ...(alpha === undefined ? {} : { gates: { alpha } }),
  });
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

/** Exit code of `--wait`: 0 promoted, 2 rolled back, 3 aborted or waiting for an operator. */
export function exitCode({ phase }: RolloutView): number {
  return phase === "promoted" ? 0 : phase === "rolled_back" ? 2 : 3;
}

const WAITING = new Set(["pending", "running"]);
const INTERVAL_MS = 1_000;

/** Where `watch` writes: in place on a terminal, line by line elsewhere. */
export interface Screen {
  readonly print: (text: string) => void;
  readonly isTerminal: boolean;
}

/** Shows a rollout until it ends or needs an operator. */
export async function watch(
  target: Target,
  worker: string,
  id: string,
  { print, isTerminal }: Screen,
): Promise<RolloutView> {
  let last = "";
  for (;;) {
    const rollout = await find(target, worker, id);
    const text = isTerminal ? toText(rollout) : toLine(rollout);
    if (isTerminal) print(`\u001b[2J\u001b[H${text}`);
    else if (text !== last) print(text);
    last = text;
    if (!WAITING.has(rollout.phase)) return rollout;
    await sleep(INTERVAL_MS);
  }
}

function toLine({ worker, phase, reason }: RolloutView): string {
  return `${worker}: ${phase}, ${reason}`;
}

export function toText(rollout: RolloutView): string {
  const { plan, stage, gates } = rollout;
  const isOver = !WAITING.has(rollout.phase) && rollout.phase !== "holding";
  const stages = plan.stages.map(({ percentage, soak_seconds, approval }, i) => {
    const mark = i < stage || rollout.phase === "promoted" ? "✓" : i === stage && !isOver ? "▶" : " ";
    const manual = approval === "manual" ? ", then waits for approval" : "";
    const left = Math.max(soak_seconds - (Date.now() - Date.parse(rollout.stage_since)) / 1000, 0);
    const time = i === stage && rollout.phase === "running" ? `, ${duration(left)} left` : "";
    return `  ${mark} ${`${percentage}%`.padStart(8)} for ${duration(soak_seconds)}${time}${manual}`;
  });
  const rate = ({ failures, exposures }: Arm) =>
    `${failures}/${exposures}${exposures === 0 ? "" : ` (${((100 * failures) / exposures).toFixed(2)}%)`}`;
  const rows = Object.entries(gates).map(
    ([metric, { e_value, threshold, total }]) =>
      `  ${metric.padEnd(8)} E ${e_value.toPrecision(3).padStart(8)} of ${threshold}   candidate ${rate(total.candidate)}   stable ${rate(total.stable)}`,
  );
  return [
    `Rollout    ${rollout.id}`,
    `Worker     ${rollout.worker}`,
    `Candidate  ${rollout.candidate_version_id}`,
    `Stable     ${rollout.stable_version_id}`,
    `Phase      ${rollout.phase}: ${rollout.reason}`,
    ...(rollout.settled_ms === null
      ? []
      : [`Settled    ${rollout.settled_ms} ms after the decision, when all traffic had moved`]),
    "Stages",
    ...stages,
    "Gates (Sluice rolls back when an E-value reaches its limit)",
    ...rows,
  ].join("\n");
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  return whole < 7_200 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3_600)} h`;
}
