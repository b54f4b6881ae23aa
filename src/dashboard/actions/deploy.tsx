/** Forms that change which versions serve. */
import { messageOf, type PageContext, scriptPath, statusOf, workerOf } from "../context.ts";
import { workerPath } from "../layout.tsx";
import { deploymentsPage, partsOf, type SplitInput } from "../pages/deployments.tsx";
import { readActive } from "../worker.ts";

export async function changeSplit(c: PageContext): Promise<Response> {
  const body = await c.req.parseBody();
  const text = (name: string) => String(body[name] ?? "");
  const input = {
    stable: text("stable"),
    candidate: text("candidate"),
    percentage: text("percentage").trim() === "" ? Number.NaN : Number(text("percentage")),
    message: text("message"),
  };
  const shares = partsOf(input, new Map()).map(({ version_id, percentage }): [string, number] => [
    version_id,
    Number(percentage.toFixed(6)),
  ]);
  return deploy(c, shares, "split", input);
}

/** Gives one version of a split all traffic. */
export async function promote(c: PageContext): Promise<Response> {
  const { version } = await c.req.parseBody();
  return deploy(c, [[String(version), 100]], "promoted");
}

export async function rollBack(c: PageContext): Promise<Response> {
  const { share } = await c.req.parseBody({ all: true });
  const shares = [share ?? []].flat().map((text): [string, number] => {
    const [id = "", percentage = ""] = String(text).split(" ");
    return [id, Number(percentage)];
  });
  return deploy(c, shares, "rollback");
}

/** Deploys, unless another deployment was made since the page was shown. @param done key of the notice to show after it */
async function deploy(
  c: PageContext,
  shares: readonly (readonly [version: string, percentage: number])[],
  done: string,
  input?: SplitInput,
): Promise<Response> {
  const worker = workerOf(c);
  const { base, message, force } = await c.req.parseBody();
  const shown = input === undefined ? {} : { input };
  const query = new URLSearchParams({ replaces: String(base ?? ""), ...(force === "true" ? { force } : {}) });
  const deployed = await c.var.call("POST", scriptPath(worker, `/deployments?${query}`), {
    strategy: "percentage",
    versions: shares.map(([version_id, percentage]) => ({ version_id, percentage })),
    annotations: { "workers/message": String(message ?? "") || undefined },
  });
  if (deployed.status === 409) {
    const active = await readActive(c, worker);
    const problem = `Nothing was changed: ${active?.author_email} has made another deployment since you opened this page. It is shown here.`;
    return c.html(await deploymentsPage(c, worker, { problem, ...shown }), 409);
  }
  return deployed.success
    ? c.redirect(workerPath(worker, `?done=${done}`), 303)
    : c.html(
        await deploymentsPage(c, worker, { problem: messageOf(deployed), ...shown }),
        statusOf(deployed),
      );
}
