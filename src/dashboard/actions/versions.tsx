/** The editor's form: creates a version with a changed main module. */
import { messageOf, type PageContext, param, scriptPath, statusOf, workerOf } from "../context.ts";
import { workerPath } from "../layout.tsx";
import { deploymentsPage } from "../pages/deployments.tsx";
import { editPage, saveEdit } from "../pages/edit.tsx";

export async function saveVersion(c: PageContext): Promise<Response> {
  const [worker, id] = [workerOf(c), param(c, "version")];
  const { code, message, then } = await c.req.parseBody();
  const input = { code: String(code ?? "").replaceAll("\r\n", "\n"), message: String(message ?? "") };
  const saved = await saveEdit(c, worker, id, input);
  if ("problem" in saved)
    return c.html(await editPage(c, worker, id, { problem: saved.problem, input }), 400);
  if (then !== "deploy") return c.redirect(workerPath(worker, `/versions/${saved.id}?done=saved`), 303);
  const deployed = await c.var.call("POST", scriptPath(worker, "/deployments"), {
    strategy: "percentage",
    versions: [{ version_id: saved.id, percentage: 100 }],
    annotations: { "workers/message": input.message || "Edited on the dashboard" },
  });
  if (deployed.success) return c.redirect(workerPath(worker, "?done=deployed"), 303);
  const problem = `The version was created, but not deployed. ${messageOf(deployed)}`;
  return c.html(await deploymentsPage(c, worker, { problem }), statusOf(deployed));
}
