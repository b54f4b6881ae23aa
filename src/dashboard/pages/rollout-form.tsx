/** The form that starts a rollout. */
import { stageText, TEMPLATES } from "../../rollout/plan.ts";
import type { PageContext } from "../context.ts";
import { Csrf, workerPath } from "../layout.tsx";
import type { VersionView } from "../types.ts";
import { optionText } from "../worker.ts";

/** The form's values as they were typed, which a refusal shows again. */
export interface RolloutInput {
  readonly version: string;
  readonly template: string;
  /** Own stages, which take the place of the template. */
  readonly stages: string;
  readonly on_fail: string;
  readonly reference: string;
  readonly require: string;
  readonly max_harmed: string;
  readonly timeout_seconds: string;
  readonly cohort: string;
}

export const NEW_ROLLOUT: RolloutInput = {
  version: "",
  template: "standard",
  stages: "",
  on_fail: "rollback",
  reference: "baseline",
  require: "exposures",
  max_harmed: "",
  timeout_seconds: "30",
  cohort: "",
};

/** Choices by value. */
type Choices = Readonly<Record<string, string>>;

const ON_FAIL: Choices = { rollback: "Roll back", hold: "Hold until an operator decides" };
const REFERENCE: Choices = {
  baseline: "The baseline",
  stable: "The stable version",
};
const REQUIRE: Choices = {
  exposures: "Time and visits",
  evidence: "Time, visits and evidence",
};

interface FormProps {
  readonly c: PageContext;
  readonly worker: string;
  readonly candidates: readonly VersionView[];
  readonly input: RolloutInput;
}

export function RolloutForm({ c, worker, candidates, input }: FormProps) {
  const versions = Object.fromEntries(candidates.map((version) => [version.id, optionText(version)]));
  const templates = Object.fromEntries(
    Object.entries(TEMPLATES).map(([name, stages]) => [name, `${name}: ${stages.map(stageText).join(", ")}`]),
  );
  return (
    <form class="card" id="start" method="post" action={workerPath(worker, "/rollouts")}>
      <h2>Start a rollout</h2>
      <Csrf user={c.var.user} />
      <div class="fields">
        <Choice label="Candidate" name="version" choices={versions} input={input} />
        <Choice label="Plan" name="template" choices={templates} input={input} />
        <label>
          Or your own stages
          <input name="stages" type="text" value={input.stages} placeholder="5%:10m,25%:30m,100%:10m" />
        </label>
        <Choice label="If the gate fails" name="on_fail" choices={ON_FAIL} input={input} />
        <Choice label="Compare the candidate with" name="reference" choices={REFERENCE} input={input} />
        <Choice label="What a stage needs to end" name="require" choices={REQUIRE} input={input} />
        <label>
          Limit of users harmed
          <input
            name="max_harmed"
            type="number"
            min="1"
            step="1"
            value={input.max_harmed}
            placeholder="no limit"
          />
        </label>
        <label>
          Answer within (seconds)
          <input name="timeout_seconds" type="number" min="1" max="300" value={input.timeout_seconds} />
        </label>
        <label>
          Cohort
          <input name="cohort" type="text" value={input.cohort} placeholder="cookie:staff=1" />
        </label>
      </div>
      <p class="hint">
        A stage is a percentage and the least time that it lasts. The baseline is the stable version's code,
        started anew beside the candidate. Evidence must show that the candidate fails less than twice as
        often. A cohort always gets the candidate; with one, the first stage can be <code>0%:1h</code>.
      </p>
      <button type="submit">Start the rollout</button>
    </form>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly name: keyof RolloutInput;
  readonly choices: Choices;
  readonly input: RolloutInput;
}

function Choice({ label, name, choices, input }: ChoiceProps) {
  return (
    <label>
      {label}
      <select name={name}>
        {Object.entries(choices).map(([value, text]) => (
          <option value={value} selected={value === input[name]}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
