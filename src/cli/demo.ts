/** Deploys the example Worker as two versions, at 90% and 10%, through the API. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { call, type Target } from "./api.ts";
import { PACKAGE_ROOT } from "./package.ts";

const WORKER = "hello";

export async function deployDemo(target: Target): Promise<void> {
  const code = await readFile(join(PACKAGE_ROOT, "examples", "hello", "src", "index.js"), "utf8");
  const script = `/workers/scripts/${WORKER}`;
  const stable = await call<{ deployment_id: string }>(
    target,
    "PUT",
    script,
    form(code, "blue", "The first version"),
  );
  const candidate = await call<{ id: string }>(
    target,
    "POST",
    `${script}/versions`,
    form(code, "green", "The same in green"),
  );
  await call(target, "POST", `${script}/deployments`, {
    strategy: "percentage",
    versions: [
      { version_id: stable.deployment_id, percentage: 90 },
      { version_id: candidate.id, percentage: 10 },
    ],
    annotations: { "workers/message": "Example: one visitor in ten sees green" },
  });
}

function form(code: string, color: string, message: string): FormData {
  const metadata = {
    main_module: "index.js",
    compatibility_date: "2026-11-17",
    bindings: [
      { type: "plain_text", name: "COLOR", text: color },
      { type: "version_metadata", name: "VERSION" },
    ],
    annotations: { "workers/message": message, "workers/tag": color },
  };
  const data = new FormData();
  data.set("metadata", JSON.stringify(metadata));
  data.set("index.js", new File([code], "index.js", { type: "application/javascript+module" }));
  return data;
}
