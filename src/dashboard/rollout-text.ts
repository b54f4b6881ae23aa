/** What pages say about a rollout. Pure. */
import { type ArmCounts, type Counts, type Plan, TERMINAL } from "../rollout/types.ts";
import type { FailureRules } from "../versions/types.ts";
import { count, moment, plural } from "./format.ts";
import type { RolloutView } from "./types.ts";

/** What a rollout waits for, and whether it goes on by itself; undefined for one that has ended. */
export function waitingText(rollout: Waits): string | undefined {
  const { waiting, phase, failed, peer } = rollout;
  if (waiting === null) return undefined;
  if (phase === "paused")
    return "Waits for an operator to resume it. A failing candidate still fails the gate.";
  if (phase === "awaiting_approval") {
    return `Waits for an operator to approve the ${isLast(rollout) ? "promotion" : "next stage"}.`;
  }
  if (failed !== null) return "Waits for an operator: the gate stays failed until somebody decides.";
  switch (waiting) {
    case "operator":
      return "Waits for an operator to look into it. Goes on by itself once the cause is gone.";
    case "window":
      return "Waits for the end of a freeze window. Goes on by itself.";
    case "traffic":
      return phase === "running" && peer?.leads === false
        ? `Waits for the rollout of ${peer.worker}, which leads.`
        : "Waits for traffic. Goes on by itself.";
    case "time":
      return timeText(rollout);
  }
}

type Waits = Pick<
  RolloutView,
  "waiting" | "phase" | "failed" | "peer" | "plan" | "stage" | "soaked_seconds" | "as_of"
>;

function timeText({ plan, stage, soaked_seconds, as_of }: Waits): string {
  const left = (plan.stages[stage]?.soak_seconds ?? 0) - soaked_seconds;
  if (left <= 0) return "Waits for the gate to look.";
  const end = new Date(Date.parse(as_of) + left * 1_000);
  return `Waits for time: the stage lasts until ${moment(end.toISOString())} UTC at least.`;
}

/** Whether the stage is the last one, so that an approval is the promotion. */
export function isLast({ plan, stage }: Pick<RolloutView, "plan" | "stage">): boolean {
  return stage === plan.stages.length - 1;
}

/** What somebody accepts who approves or promotes; undefined where neither the gate nor the plan asks anybody. */
export function acceptText(rollout: Accepted): string | undefined {
  const { phase, failed, effect, users_harmed, plan } = rollout;
  const isKnown = effect.from !== null || effect.to !== null;
  const rate = `, and that the candidate fails ${effect.text} as ${referenceName(plan)}`;
  const harm = `${harmedText(users_harmed)}${isKnown ? rate : ""}`;
  if (failed === null) {
    return phase === "awaiting_approval" ? `Whoever approves accepts that ${harm}.` : undefined;
  }
  const { max_harmed } = plan.gates;
  return [
    `The gate has failed. Whoever approves or promotes accepts that ${harm}.`,
    "After an approval, only new failures count.",
    ...(max_harmed === null ? [] : [`The limit of ${plural(max_harmed, "user")} begins again.`]),
    "After a promotion, nothing watches the candidate any more.",
  ].join(" ");
}

type Accepted = Pick<RolloutView, "phase" | "failed" | "effect" | "users_harmed" | "plan">;

/** `1 user has had a failure on the candidate`. */
export function harmedText(users: number): string {
  return `${plural(users, "user")} ${users === 1 ? "has" : "have"} had a failure on the candidate`;
}

/** What the candidate is compared with, in a sentence. */
export function referenceName({ gates }: Plan): string {
  return gates.reference === "baseline" ? "the baseline" : "the stable version";
}

/** In place of the effect, where the failures do not bound it. */
export function unknownText({ plan, phase, effect }: Pick<RolloutView, "plan" | "phase" | "effect">): string {
  const what = `how often the candidate fails compared with ${referenceName(plan)}`;
  if (TERMINAL.has(phase)) return `When the rollout ended, it was too early for a range of ${what}.`;
  const { unsettled_failures } = effect;
  const why = unsettled_failures === 0 ? "there are too few failures" : "the failures are too new";
  return `No range yet of ${what}: ${why}.`;
}

/** The arms that a plan has, by name. */
export function armsOf({ gates, cohort }: Plan, counts: Counts): [name: string, counts: ArmCounts][] {
  const hasBaseline = gates.reference === "baseline";
  return [
    ["candidate", counts.candidate],
    [hasBaseline ? "baseline" : "stable version", counts.reference],
    ...(hasBaseline ? [["rest of the stable version", counts.beside] as [string, ArmCounts]] : []),
    ...(cohort === null ? [] : [["cohort", counts.cohort] as [string, ArmCounts]]),
  ];
}

/** What is wrong beside the candidate's own failures, a sentence each. */
export function alarmsOf({ drift }: Pick<RolloutView, "drift">): string[] {
  return [
    ...(drift.stable
      ? ["The stable version fails more often than it did. Something that both versions share may be broken."]
      : []),
    ...(drift.candidate ? ["The candidate fails more often than it did before it served everybody."] : []),
  ];
}

/** What counts as a failure of a client. */
export function failuresText({ statuses, timeout_seconds, body, dataset }: FailureRules): string {
  return [
    "a status from 500",
    ...(statuses.length === 0 ? [] : [`status ${statuses.join(", ")}`]),
    "an exception",
    `no answer within ${count(timeout_seconds)} s`,
    ...(body ? ["a body that breaks off or stalls"] : []),
    "the header Sluice-Outcome: bad",
    ...(dataset === null ? [] : [`a data point in ${dataset}`]),
  ].join("; ");
}

/** Where a ratio of failure rates is on a scale from 1/64 to 64, in percent of its width. */
export function onScale(ratio: number): number {
  // A fifth of the width is a factor of eight. The outer tenths stand for ratios beyond the scale.
  return Math.min(Math.max(50 + (Math.log2(ratio) / 3) * 20, 0), 100);
}
