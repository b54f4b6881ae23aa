/** The options of `sluice rollout start`, and the body of the API that they make. */
import { readFileSync } from "node:fs";
import { type PlanInput, parseDuration, TEMPLATES, type TemplateName } from "../rollout/plan.ts";
import { parseCohort } from "../versions/affinity.ts";
import { UsageError } from "./data.ts";
import { readStages } from "./rollout.ts";

/** As commander reads them. Durations are in seconds. */
export interface StartOptions {
  /** Id or tag of the candidate, or `latest`. */
  readonly to: string;
  /** File with a plan as JSON. The other options go before it. */
  readonly plan?: string;
  readonly stages?: string;
  readonly template?: TemplateName;
  readonly onFail?: "rollback" | "hold";
  readonly alpha?: number;
  readonly minExposures?: number;
  readonly reference?: "baseline" | "stable";
  readonly failStatus?: readonly number[];
  readonly failAfter?: number;
  readonly failDataset?: string;
  readonly maxHarmed?: number;
  /** False for `--no-cpu`, otherwise true. */
  readonly cpu?: boolean;
  readonly require?: "exposures" | "evidence";
  readonly cohort?: NonNullable<PlanInput["cohort"]>;
  readonly smoke?: PlanInput["smoke"];
  readonly freeze?: PlanInput["freeze"];
  readonly link?: NonNullable<PlanInput["linked"]>;
}

/** @returns the body of POST …/rollouts. Fields that neither an option nor the file names are left out */
export function bodyOf(given: StartOptions): object {
  const file = given.plan === undefined ? {} : readPlan(given.plan);
  const { alpha, reference, maxHarmed, require, failStatus, failAfter, failDataset } = given;
  const failures = defined({ statuses: failStatus, timeout_seconds: failAfter, dataset: failDataset });
  // The option is always there: only where it was given does it go before the file.
  const cpu = given.cpu === false ? false : undefined;
  const gates = defined({ alpha, reference, max_harmed: maxHarmed, require, cpu });
  return defined({
    ...file,
    version_id: given.to,
    ...stagesOf(given, file),
    ...defined({
      on_fail: given.onFail,
      gates: merged(file.gates, { ...gates, failures: merged(file.gates?.failures, failures) }),
      cohort: given.cohort,
      smoke: given.smoke,
      freeze: given.freeze,
      linked: given.link,
    }),
  });
}

/** The fields of both, or undefined for none. Those of `change` go before the others. */
function merged(base: object | undefined, change: object): object | undefined {
  const fields = defined({ ...base, ...defined(change) });
  return Object.keys(fields).length === 0 ? undefined : fields;
}

/** The stages or the template: what is asked for on the command line takes the place of both in the file. */
function stagesOf({ stages, template, minExposures }: StartOptions, file: PlanInput): object {
  const isFromFile = stages === undefined && template === undefined;
  const named = isFromFile ? file.template : template;
  const parsed = stages === undefined ? undefined : readStages(stages);
  const chosen = parsed ?? (isFromFile ? file.stages : undefined);
  if (minExposures === undefined) return { stages: chosen, template: named };
  const all = chosen ?? TEMPLATES[named ?? "standard"];
  return { stages: all.map((stage) => ({ ...stage, min_exposures: minExposures })), template: undefined };
}

/** Without the fields that are undefined. */
function defined(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function readPlan(path: string): PlanInput {
  try {
    const plan: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof plan === "object" && plan !== null && !Array.isArray(plan)) return plan;
  } catch (error) {
    throw new UsageError(`Cannot read the plan in ${path}: ${(error as Error).message}.`);
  }
  throw new UsageError(`${path} has no plan: it must contain a JSON object, e.g. {"template": "careful"}.`);
}

/** Reads `90s`, `10m`, `1.5h` or `2d` as seconds. */
export function toSeconds(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined) throw new UsageError(`"${text}" is not a time. Write e.g. 90s, 10m, 2h or 1d.`);
  return seconds;
}

/** Reads `429,404`. */
export function toStatuses(text: string): number[] {
  return text.split(",").map((part) => {
    const status = Number(part.trim());
    if (Number.isInteger(status) && status >= 400 && status <= 499) return status;
    throw new UsageError(
      `"${part.trim()}" is not a status from 400 to 499. Answers with 5xx always count as failures.`,
    );
  });
}

/** Reads `cookie:staff=1` or `header:X-Team=edge`. */
export function toCohort(text: string): NonNullable<StartOptions["cohort"]> {
  const parsed = parseCohort(text);
  if (!parsed.ok) throw new UsageError(parsed.error);
  return parsed.value;
}

type Smoke = NonNullable<StartOptions["smoke"]>;

/** Reads `/health`, `GET /health` or `POST /orders 201`, and adds it to the others. */
export function toSmoke(text: string, others: Smoke = []): Smoke {
  const match = /^(?:([A-Za-z]+)\s+)?(\/\S*)(?:\s+(\d{3}))?$/.exec(text.trim());
  if (match === null) {
    throw new UsageError(
      `"${text}" is not a request. Write e.g. "GET /health", or "POST /orders 201" with its status.`,
    );
  }
  const [, method, path, status] = match;
  const request = {
    method: method?.toUpperCase(),
    path,
    status: status === undefined ? undefined : Number(status),
  };
  return [...others, defined(request)];
}

type Freeze = NonNullable<StartOptions["freeze"]>;

/** Reads `0 18 * * 5;62h` or `0 18 * * 5;62h;Europe/Berlin`, and adds it to the others. */
export function toFreeze(text: string, others: Freeze = []): Freeze {
  const [cron = "", length = "", timezone, ...rest] = text.split(";").map((part) => part.trim());
  const seconds = parseDuration(length);
  if (cron === "" || seconds === undefined || rest.length > 0) {
    throw new UsageError(
      `"${text}" is not a freeze window. Write "<cron>;<length>" or "<cron>;<length>;<time zone>", e.g. "0 18 * * 5;62h;Europe/Berlin".`,
    );
  }
  return [...others, defined({ cron, hours: seconds / 3_600, timezone })];
}

/** Reads `worker@version`. */
export function toLinked(text: string): NonNullable<StartOptions["link"]> {
  const [, worker = "", version_id = ""] = /^([^@]+)@([^@]+)$/.exec(text) ?? [];
  if (worker === "") throw new UsageError(`"${text}" is not a linked version. Write <worker>@<version id>.`);
  return { worker, version_id };
}
