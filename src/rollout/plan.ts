/** Rollout plans: templates, defaults, validation, and their short notation. Pure. */
import { err, ok, type Result } from "../lib/result.ts";
import type { Cohort, FailureRules } from "../versions/types.ts";
import { checkWindow, type FreezeWindow } from "./freeze.ts";
import type { Gates, LinkedVersion, Plan, SmokeRequest, Stage } from "./types.ts";

const DEFAULT_FAILURES: FailureRules = { statuses: [], timeout_seconds: 30, body: true, dataset: null };

export const DEFAULT_GATES: Gates = {
  alpha: 0.01,
  margin: 1,
  latency: true,
  cpu: true,
  reference: "baseline",
  failures: DEFAULT_FAILURES,
  max_harmed: null,
  require: "exposures",
};

/** Without a failure in this many visits of as many clients, the failure rate is at most 0.5% (rule of three: 3 / 0.005). */
const DEFAULT_EXPOSURES = 600;

const stage = (percentage: number, minutes: number, min_exposures = DEFAULT_EXPOSURES): Stage => ({
  percentage,
  soak_seconds: minutes * 60,
  min_exposures,
  approval: "auto",
});
/** At 100%, the stable version stays loaded for some minutes, and takes over again on evidence. */
const bake = (minutes: number): Stage => stage(100, minutes, 0);
const PROMOTION = bake(0);

/** Plans by name. The first stage of `careful` exposes few clients, and is long enough to find a small regression. */
export const TEMPLATES = {
  fast: [stage(10, 2, 100), stage(50, 2, 100), PROMOTION],
  standard: [stage(1, 10), stage(5, 10), stage(25, 10), stage(50, 10), bake(10)],
  careful: [stage(0.1, 60), stage(1, 60), stage(5, 60), stage(25, 120), stage(50, 120), bake(60)],
} as const satisfies Record<string, readonly Stage[]>;

export type TemplateName = keyof typeof TEMPLATES;

type Loose<T> = { readonly [Name in keyof T]?: T[Name] | undefined };

/** Gates as an operator gives them. */
interface GatesInput extends Loose<Omit<Gates, "failures">> {
  readonly failures?: Loose<FailureRules> | undefined;
}

/** A plan as an operator gives it. Omitted fields get their defaults. */
export interface PlanInput {
  readonly stages?: readonly Loose<Stage>[] | undefined;
  readonly template?: TemplateName | undefined;
  readonly gates?: GatesInput | undefined;
  readonly on_fail?: Plan["on_fail"] | undefined;
  readonly cohort?: Cohort | null | undefined;
  readonly smoke?: readonly Loose<SmokeRequest>[] | undefined;
  readonly freeze?: readonly Loose<FreezeWindow>[] | undefined;
  readonly linked?: LinkedVersion | null | undefined;
}

/** @returns the plan, or what is wrong with it as the rest of a sentence that begins with "the plan" */
export function makePlan(input: PlanInput): Result<Plan, string> {
  const { template = "standard", gates, on_fail = "rollback", cohort = null, linked = null } = input;
  if (input.stages !== undefined && input.template !== undefined)
    return err("has both stages and a template; give one of them");
  const stages = makeStages(input.stages ?? TEMPLATES[template], cohort !== null);
  if (!stages.ok) return stages;
  const freeze = (input.freeze ?? []).map(
    ({ cron = "", hours = 0, timezone = "UTC" }): FreezeWindow => ({ cron, hours, timezone }),
  );
  const wrong = freeze.map(checkWindow).find((why) => why !== undefined);
  if (wrong !== undefined) return err(wrong);
  if (
    gates?.require === "evidence" &&
    !stages.value.some(({ percentage }) => percentage > 0 && percentage < 100)
  )
    return err("requires evidence, but has no stage between 0% and 100% in which there could be any");
  const smoke = (input.smoke ?? []).map(
    ({ path = "/", method = "GET", status = null }): SmokeRequest => ({ path, method, status }),
  );
  const bad = smoke.find(({ path }) => !path.startsWith("/"));
  if (bad !== undefined)
    return err(`has a smoke request for "${bad.path}"; its path must begin with a slash`);
  return ok({ stages: stages.value, gates: makeGates(gates), on_fail, cohort, smoke, freeze, linked });
}

function makeGates(given: GatesInput = {}): Gates {
  return {
    ...DEFAULT_GATES,
    ...defined(given),
    failures: { ...DEFAULT_FAILURES, ...defined(given.failures) },
  };
}

/** The fields that have a value. */
function defined<T extends object>(given: T | undefined) {
  type Defined = { [Name in keyof T]?: Exclude<T[Name], undefined> };
  return Object.fromEntries(
    Object.entries(given ?? {}).filter(([, value]) => value !== undefined),
  ) as Defined;
}

function makeStages(given: readonly Loose<Stage>[], hasCohort: boolean): Result<readonly Stage[], string> {
  const made = given.map(
    ({ percentage = -1, soak_seconds = 0, min_exposures, approval = "auto" }): Stage => ({
      percentage,
      soak_seconds,
      min_exposures: min_exposures ?? (percentage === 100 || percentage === 0 ? 0 : DEFAULT_EXPOSURES),
      approval,
    }),
  );
  if (made.length === 0) return err("has no stages");
  for (const [i, { percentage }] of made.entries()) {
    if (percentage === 0 && !hasCohort) return err("has a stage at 0%, which needs a cohort");
    if (!(percentage >= 0 && percentage <= 100))
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
  return ok(made.at(-1)?.percentage === 100 ? made : [...made, PROMOTION]);
}

/** A stage in the short notation. */
export interface StageInput {
  readonly percentage: number;
  readonly soak_seconds?: number;
  readonly approval?: "manual";
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Parses `90s`, `10m`, `1.5h` or `2d`. @returns the time in seconds; undefined where it is none */
export function parseDuration(text: string): number | undefined {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text.trim()) ?? [];
  return number === undefined ? undefined : Number(number) * (UNITS[unit] as number);
}

/** Parses `5%:10m,25%:30m:manual,100%`. @returns the stages, or a sentence that names the part that is not one */
export function parseStages(text: string): Result<StageInput[], string> {
  const stages: StageInput[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d+(?:\.\d+)?)%?(?::(\d+(?:\.\d+)?[smhd]))?(:manual)?$/.exec(part.trim());
    if (match === null) {
      return err(
        `"${part}" is not a stage: write 5%:10m, or 5%:10m:manual to approve the next stage yourself.`,
      );
    }
    const [, percentage, soak, manual] = match;
    stages.push({
      percentage: Number(percentage),
      ...(soak === undefined ? {} : { soak_seconds: parseDuration(soak) ?? 0 }),
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
