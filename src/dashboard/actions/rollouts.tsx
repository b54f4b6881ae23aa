/** Forms that start and control rollouts, and the download of a certificate. */
import { parseStages } from "../../rollout/plan.ts";
import { parseCohort } from "../../versions/affinity.ts";
import { messageOf, type PageContext, param, read, scriptPath, statusOf, workerOf } from "../context.ts";
import { workerPath } from "../layout.tsx";
import { rolloutPage } from "../pages/rollout.tsx";
import { NEW_ROLLOUT, type RolloutInput } from "../pages/rollout-form.tsx";
import { rolloutsPage } from "../pages/rollouts.tsx";

export async function startRollout(c: PageContext): Promise<Response> {
  const worker = workerOf(c);
  const input = inputOf(await c.req.parseBody());
  const refuse = async (problem: string, status: 400) =>
    c.html(await rolloutsPage(c, worker, { problem, input }), status);
  const stages = input.stages === "" ? undefined : parseStages(input.stages);
  if (stages !== undefined && !stages.ok) return refuse(stages.error, 400);
  const cohort = input.cohort === "" ? undefined : parseCohort(input.cohort);
  if (cohort !== undefined && !cohort.ok) return refuse(cohort.error, 400);
  const started = await c.var.call<{ id: string }>("POST", scriptPath(worker, "/rollouts"), {
    version_id: input.version,
    on_fail: input.on_fail,
    ...(stages === undefined ? { template: input.template } : { stages: stages.value }),
    gates: {
      reference: input.reference,
      require: input.require,
      max_harmed: numberOf(input.max_harmed),
      failures: { timeout_seconds: numberOf(input.timeout_seconds) },
    },
    cohort: cohort?.value,
  });
  return started.success
    ? c.redirect(workerPath(worker, `/rollouts/${started.result.id}`), 303)
    : refuse(messageOf(started), statusOf(started));
}

function inputOf(body: Readonly<Record<string, unknown>>): RolloutInput {
  const names = Object.keys(NEW_ROLLOUT) as (keyof RolloutInput)[];
  const values = names.map((name) => [name, String(body[name] ?? NEW_ROLLOUT[name]).trim()]);
  return Object.fromEntries(values) as unknown as RolloutInput;
}

/** The number in a field; undefined where it is empty. Any other text stays, and the API refuses it by the field's name. */
function numberOf(text: string): number | string | undefined {
  if (text === "") return undefined;
  return Number.isNaN(Number(text)) ? text : Number(text);
}

export async function commandRollout(c: PageContext): Promise<Response> {
  const [worker, rollout] = [workerOf(c), param(c, "rollout")];
  const command = encodeURIComponent(param(c, "command"));
  const path = scriptPath(worker, `/rollouts/${encodeURIComponent(rollout)}/${command}`);
  const done = await c.var.call("POST", path);
  return done.success
    ? c.redirect(workerPath(worker, `/rollouts/${rollout}`), 303)
    : c.html(await rolloutPage(c, worker, rollout, messageOf(done)), statusOf(done));
}

/** The certificate as a file. */
export async function downloadCertificate(c: PageContext): Promise<Response> {
  const [worker, rollout] = [workerOf(c), param(c, "rollout")];
  const path = scriptPath(worker, `/rollouts/${encodeURIComponent(rollout)}/certificate`);
  const certificate = await read<{ readonly rollout_id: string }>(c, path);
  return c.body(JSON.stringify(certificate, undefined, 2), 200, {
    "Content-Type": "application/json",
    "Content-Disposition": `attachment; filename="${worker}-${certificate.rollout_id}.json"`,
  });
}
