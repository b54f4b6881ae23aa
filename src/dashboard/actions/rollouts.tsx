/** Forms that start and control rollouts. */
import { parseStages } from "../../rollout/plan.ts";
import { messageOf, type PageContext, param, scriptPath, statusOf, workerOf } from "../context.ts";
import { workerPath } from "../layout.tsx";
import { rolloutPage, rolloutsPage } from "../pages/rollouts.tsx";

export async function startRollout(c: PageContext): Promise<Response> {
  const worker = workerOf(c);
  const { version, template, stages, on_fail } = await c.req.parseBody();
  const own = String(stages ?? "").trim();
  const parsed = own === "" ? undefined : parseStages(own);
  if (parsed !== undefined && !parsed.ok) return c.html(await rolloutsPage(c, worker, parsed.error), 400);
  const started = await c.var.call<{ id: string }>("POST", scriptPath(worker, "/rollouts"), {
    version_id: version,
    on_fail,
    ...(parsed === undefined ? { template } : { stages: parsed.value }),
  });
  return started.success
    ? c.redirect(workerPath(worker, `/rollouts/${started.result.id}`), 303)
    : c.html(await rolloutsPage(c, worker, messageOf(started)), statusOf(started));
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
