/** `sluice env` and `sluice wrangler`: point the unmodified wrangler at a server. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Target } from "./api.ts";

/** Variables that point wrangler at a server. */
export function wranglerEnv({ control, accountId, token }: Target): Record<string, string> {
  return {
    CLOUDFLARE_API_BASE_URL: `${control}/client/v4`,
    CLOUDFLARE_API_TOKEN: token,
    CLOUDFLARE_ACCOUNT_ID: accountId,
  };
}

/** A shell command that sets the variables, for `eval`. */
export function exportLine(env: Readonly<Record<string, string>>): string {
  const quote = (value: string) => `'${value.replaceAll("'", `'\\''`)}'`;
  return `export ${Object.entries(env)
    .map(([name, value]) => `${name}=${quote(value)}`)
    .join(" ")}`;
}

/** Runs the project's wrangler and resolves with its exit code. */
export function runWrangler(args: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const manifest = createRequire(import.meta.url).resolve("wrangler/package.json");
  const child = spawn(process.execPath, [join(dirname(manifest), "bin", "wrangler.js"), ...args], {
    stdio: "inherit",
    env: { ...process.env, ...env, WRANGLER_SEND_METRICS: process.env.WRANGLER_SEND_METRICS ?? "false" },
  });
  // A terminal sends Ctrl-C to both processes. Wrangler decides when to end.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}
