/** A rollout in words, for a terminal and for a log. */
import type { ArmCounts, Counts, Plan, Waiting } from "../rollout/types.ts";

/** The API's view of a rollout, as far as it is printed. Times are ISO 8601 in UTC. */
export interface RolloutView {
  readonly id: string;
  readonly worker: string;
  readonly phase: string;
  readonly reason: string;
  readonly waiting: Waiting | null;
  readonly settled_ms: number | null;
  readonly candidate_version_id: string;
  readonly stable_version_id: string;
  readonly created_on: string;
  readonly stage: number;
  /** When the figures were true. */
  readonly as_of: string;
  /** Time in the stage, pauses aside. */
  readonly soaked_seconds: number;
  readonly plan: Plan;
  readonly peer: { readonly worker: string; readonly rollout_id: string; readonly leads: boolean } | null;
  readonly effect: {
    readonly from: number | null;
    readonly to: number | null;
    readonly text: string;
    readonly unsettled_failures: number;
  };
  readonly users_harmed: number;
  /** Processor time of a request in ms; null while there is too little to go by. */
  readonly cpu: { readonly candidate_ms: number; readonly baseline_ms: number } | null;
  readonly counts: { readonly total: Counts };
  readonly gates: Readonly<Record<string, { readonly e_value: number; readonly threshold: number }>>;
}

const WAITS: Readonly<Record<Waiting, string>> = {
  time: "the end of the stage's time",
  traffic: "traffic",
  window: "the end of a freeze window",
  operator: "an operator",
};

/** One line, for a log. */
export function toLine({ worker, phase, reason, waiting, users_harmed, effect }: RolloutView): string {
  const waits = waiting === null ? "" : `, waits for ${WAITS[waiting]}`;
  const fails = isKnown(effect) ? `; fails ${effect.text}` : "";
  return `${worker}: ${phase}, ${reason}${waits} (${usersText(users_harmed)} harmed${fails})`;
}

function msText(time: number): string {
  return `${time.toPrecision(2)} ms`;
}

function isKnown({ from, to }: RolloutView["effect"]): boolean {
  return from !== null || to !== null;
}

function effectText(effect: RolloutView["effect"], against: string): string {
  return isKnown(effect) ? `the candidate fails ${effect.text} as ${against}` : "not known yet";
}

/** @param now in ms since the epoch */
export function toText(rollout: RolloutView, now = Date.now()): string {
  const { waiting, effect, users_harmed, cpu, settled_ms, peer, plan } = rollout;
  const against = plan.gates.reference === "baseline" ? "the baseline" : "the stable version";
  return [
    `Rollout    ${rollout.id}`,
    `Worker     ${rollout.worker}`,
    `Candidate  ${rollout.candidate_version_id}`,
    `Stable     ${rollout.stable_version_id}`,
    ...(peer === null
      ? []
      : [`Linked     ${peer.worker}, rollout ${peer.rollout_id}${peer.leads ? " (leads)" : ""}`]),
    `Phase      ${rollout.phase}: ${rollout.reason}`,
    ...(waiting === null ? [] : [`Waits for  ${WAITS[waiting]}`]),
    ...(settled_ms === null
      ? []
      : [`Settled    ${settled_ms} ms after the decision, when all traffic had moved`]),
    `Effect     ${effectText(effect, against)}${unsettledText(effect.unsettled_failures)}`,
    `Harmed     ${usersText(users_harmed)} had a first failure on the candidate`,
    ...(cpu === null
      ? []
      : [`CPU        ${msText(cpu.candidate_ms)} a request, the baseline ${msText(cpu.baseline_ms)}`]),
    "Stages",
    ...plan.stages.map((_, i) => stageLine(rollout, i, now)),
    "Gates (Sluice rolls back when an E-value reaches its limit)",
    ...Object.entries(rollout.gates).map(
      ([metric, { e_value, threshold }]) =>
        `  ${metric.padEnd(9)} E ${e_value.toPrecision(3).padStart(8)} of ${Number(threshold.toPrecision(4))}`,
    ),
    "Clients",
    ...armLines(rollout),
  ].join("\n");
}

function stageLine({ plan, stage, phase, ...rollout }: RolloutView, i: number, now: number): string {
  const { percentage, soak_seconds, approval } = plan.stages[i] as Plan["stages"][number];
  const isOver = rollout.waiting === null;
  const mark = i < stage || phase === "promoted" ? "✓" : i === stage && !isOver ? "▶" : " ";
  const since = phase === "paused" ? 0 : (now - Date.parse(rollout.as_of)) / 1000;
  const left = Math.max(soak_seconds - rollout.soaked_seconds - Math.max(since, 0), 0);
  const time = i === stage && !isOver && left > 0 ? `, ${duration(left)} left` : "";
  const manual = approval === "manual" ? ", then waits for approval" : "";
  return `  ${mark} ${`${percentage}%`.padStart(8)} for ${duration(soak_seconds)}${time}${manual}`;
}

/** What was counted of each arm that the plan has. */
function armLines({ plan, counts: { total } }: RolloutView): string[] {
  const hasBaseline = plan.gates.reference === "baseline";
  const rows: [string, ArmCounts][] = [
    ["candidate", total.candidate],
    [hasBaseline ? "baseline" : "stable", total.reference],
    ...(hasBaseline ? ([["others", total.beside]] as [string, ArmCounts][]) : []),
    ...(plan.cohort === null ? [] : ([["cohort", total.cohort]] as [string, ArmCounts][])),
  ];
  return rows.map(
    ([name, { exposures, failures }]) =>
      `  ${name.padEnd(9)} ${failures} with a failure, ${exposures} visits`,
  );
}

function unsettledText(count: number): string {
  if (count === 0) return "";
  return `; ${count === 1 ? "1 failure is" : `${count} failures are`} not counted yet`;
}

function usersText(count: number): string {
  return count === 1 ? "1 user" : `${count} users`;
}

/** @param seconds at least 0 */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  return whole < 7_200 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3_600)} h`;
}
