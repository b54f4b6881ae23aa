/** Forms of the settings page. */
import { parseSource } from "../../versions/affinity.ts";
import {
  messageOf,
  type PageContext,
  PageError,
  param,
  type Reply,
  read,
  scriptPath,
  statusOf,
  workerOf,
} from "../context.ts";
import { workerPath } from "../layout.tsx";
import { settingsPage } from "../pages/settings.tsx";

export async function changeSettings(c: PageContext): Promise<Response> {
  const worker = workerOf(c);
  const changed = await sendSettings(c, worker, await c.req.parseBody());
  return typeof changed !== "string" && changed.success
    ? c.redirect(workerPath(worker, "/settings?done=settings"), 303)
    : c.html(
        await settingsPage(c, worker, typeof changed === "string" ? changed : messageOf(changed)),
        typeof changed === "string" ? 400 : statusOf(changed),
      );
}

/** @returns the API's reply, or what is wrong with the input */
async function sendSettings(
  c: PageContext,
  worker: string,
  body: Record<string, unknown>,
): Promise<Reply<unknown> | string> {
  switch (param(c, "part")) {
    case "affinity":
      return sendAffinity(c, worker, String(body.sources ?? ""));
    case "hosts":
      return c.var.call("POST", scriptPath(worker, "/subdomain"), {
        enabled: body.enabled !== undefined,
        previews_enabled: body.previews !== undefined,
      });
    case "options":
      return c.var.call("PATCH", scriptPath(worker, "/options"), {
        protect: body.protect !== undefined,
        expose_version: body.expose_version !== undefined,
        retention: { versions: Number(body.versions), hours: Number(body.hours) },
      });
    default:
      throw new PageError(404, "These settings do not exist.");
  }
}

/** @param text one source of request keys per line, or `default` */
async function sendAffinity(c: PageContext, worker: string, text: string): Promise<Reply<unknown> | string> {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (lines.length === 1 && lines[0] === "default") {
    return c.var.call("PUT", scriptPath(worker, "/affinity"), { sources: null });
  }
  const before = await read<{ sources: { type: string; max_age?: number }[] }>(
    c,
    scriptPath(worker, "/affinity"),
  );
  const max_age = before.sources.find(({ type }) => type === "issued_cookie")?.max_age;
  const sources = [];
  for (const line of lines) {
    const source = parseSource(line);
    if (!source.ok) return source.error;
    // The page has no field for the cookie's age, so the age stays.
    const keepsAge = source.value.type === "issued_cookie" && max_age !== undefined;
    sources.push(keepsAge ? { ...source.value, max_age } : source.value);
  }
  return c.var.call("PUT", scriptPath(worker, "/affinity"), { sources });
}
