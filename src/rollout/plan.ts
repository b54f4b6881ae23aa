/** Rollout plans: templates, defaults, validation, and their short notation. Pure. */
import { err, ok, type Result } from "../lib/result.ts";
import type { Gates, Plan, Stage } from "./types.ts";

const DEFAULT_GATES: Gates = { alpha: 0.01, margin: 1, latency: true };

/** Without a failure among this many clients, the failure rate is at most 0.5% (rule of three: 3 / 0.005). */
const DEFAULT_EXPOSURES = 600;

const stage = (percentage: number, minutes: number, min_exposures = DEFAULT_EXPOSURES): Stage => ({
  percentage,
  soak_seconds: minutes * 60,
  min_exposures,
  approval: "auto",
});
const PROMOTION: Stage = { percentage: 100, soak_seconds: 0, min_exposures: 0, approval: "auto" };

/** Plans by name. The first stage of `careful` exposes few clients, and is long enough to find a small regression. */
export const TEMPLATES = {
  fast: [stage(10, 2, 100), stage(50, 2, 100), PROMOTION],
  standard: [stage(1, 10), stage(5, 10), stage(25, 10), stage(50, 10), PROMOTION],
  careful: [stage(0.1, 60), stage(1, 60), stage(5, 60), stage(25, 120), stage(50, 120), PROMOTION],
} as const satisfies Record<string, readonly Stage[]>;

export type TemplateName = keyof typeof TEMPLATES;

type Loose<T> = { readonly [Name in keyof T]?: T[Name] | undefined };

/** A plan as an operator gives it. Omitted fields get their defaults. */
interface PlanInput {
  readonly stages?: readonly Loose<Stage>[] | undefined;
  readonly template?: TemplateName | undefined;
  readonly gates?: Loose<Gates> | undefined;
  readonly on_fail?: Plan["on_fail"] | undefined;
}

/** @returns the plan, or what is wrong with it as the rest of a sentence that begins with "the plan" */
export function makePlan({
  stages,
  template = "standard",
  gates,
  on_fail = "rollback",
}: PlanInput): Result<Plan, string> {
  const given: readonly Loose<Stage>[] = stages ?? TEMPLATES[template];
  const made = given.map(
    ({ percentage = 0, soak_seconds = 0, min_exposures, approval = "auto" }): Stage => ({
      percentage,
      soak_seconds,
      min_exposures: min_exposures ?? (percentage === 100 ? 0 : DEFAULT_EXPOSURES),
      approval,
    }),
  );
  if (made.length === 0) return err("has no stages");
  for (const [i, { percentage }] of made.entries()) {
    if (!(percentage > 0 && percentage <= 100))
      return err(`has a stage at ${percentage}%; use more than 0 and at most 100`);
    if (Math.abs(percentage * 1000 - Math.round(percentage * 1000)) > 1e-6) {
      return err(`has a stage at ${percentage}%; use at most three decimals`);
    }
    const before = made[i - 1];
    if (before !== undefined && before.percentage >= percentage) {
      return err(
        `goes from ${before.percentage}% to ${percentage}%; each stage must be larger than the one before`,
      );
    }
  }
  if (made.at(-1)?.percentage !== 100) made.push(PROMOTION);
  const {
    alpha = DEFAULT_GATES.alpha,
    margin = DEFAULT_GATES.margin,
    latency = DEFAULT_GATES.latency,
  } = gates ?? {};
  return ok({ stages: made, gates: { alpha, margin, latency }, on_fail });
}

/** A stage in the short notation. */
export interface StageInput {
  readonly percentage: number;
  readonly soak_seconds?: number;
  readonly approval?: "manual";
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Parses `5%:10m,25%:30m:manual,100%`. @returns the stages, or a sentence that names the part that is not one */
export function parseStages(text: string): Result<StageInput[], string> {
  const stages: StageInput[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d+(?:\.\d+)?)%?(?::(\d+(?:\.\d+)?)([smhd]))?(:manual)?$/.exec(part.trim());
    if (match === null) {
      return err(
        `"${part}" is not a stage: write 5%:10m, or 5%:10m:manual to approve the next stage yourself.`,
      );
    }
    const [, percentage, soak, unit = "s", manual] = match;
    stages.push({
      percentage: Number(percentage),
      ...(soak === undefined ? {} : { soak_seconds: Number(soak) * (UNITS[unit] ?? 1) }),
      ...(manual === undefined ? {} : { approval: "manual" as const }),
    });
  }
  return ok(stages);
}

/** A stage in the notation that `parseStages` reads. */
export function stageText({ percentage, soak_seconds, approval }: Stage): string {
  const unit = (["d", "h", "m"] as const).find((name) => soak_seconds % (UNITS[name] as number) === 0) ?? "s";
  const soak = soak_seconds === 0 ? "" : `:${soak_seconds / (UNITS[unit] as number)}${unit}`;
  return `${percentage}%${soak}${approval === "manual" ? ":manual" : ""}`;
}
