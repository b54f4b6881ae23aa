/** `sluice rollout` against a server that comes and goes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { call, deploy, type Upload, uploadVersion } from "../support/client.ts";
import {
  cleanEnv,
  disposeServer,
  ROOT,
  startServer,
  TOKEN,
  useServer,
  waitUntil,
} from "../support/server.ts";
import { Crowd } from "./crowd.ts";
import { runSluice } from "./helpers.ts";

const code = (body: string): Upload => ({
  modules: { "index.js": { content: `export default { async fetch(request) { ${body} } };` } },
});
const STABLE = code("return new Response('stable');");
const BROKEN = code("return new Response('no', { status: 500 });");

/** Runs a program in the background. */
function begin(args: readonly string[], env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, args, { cwd: ROOT, env: { ...cleanEnv(), ...env }, stdio: "pipe" });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (chunk) => {
      said[stream] += chunk;
    });
  }
  return { said, input: child.stdin, ended: once(child, "close").then(([code]) => code as number | null) };
}

test("a wait outlives the end of the server, and a script that is not Sluice's confirms why the rollout went back", async () => {
  const first = await startServer();
  const env = { SLUICE_API_TOKEN: TOKEN, SLUICE_DATA_DIR: first.dataDir };
  await deploy(first, "shop", STABLE);
  const candidate = await uploadVersion(first, "shop", BROKEN);
  const start = ["rollout", "start", "shop", "--to", candidate, "--stages", "50%:10m", "--wait"];
  const wait = begin([join(ROOT, "bin/sluice.js"), ...start], env);
  await waitUntil(() => wait.said.stdout.includes("shop: running"));
  await first.kill();
  await waitUntil(() => wait.said.stderr.includes("The server does not answer"));
  const again = await startServer({ like: first });
  try {
    const crowd = new Crowd(again, "shop");
    expect(await wait.ended).toBe(2);
    await crowd.leave();
    expect(wait.said.stdout).toMatch(/shop: rolled_back, the candidate fails .*users harmed/);
    const certificate = await runSluice(["rollout", "certificate", "shop"], env);
    const check = begin([join(ROOT, "scripts/certificate.ts")], {});
    check.input.end(certificate.stdout);
    expect(await check.ended).toBe(0);
    expect(JSON.parse(check.said.stdout)).toMatchObject({ verdict: "worse", wrong: [] });
  } finally {
    await disposeServer(again);
  }
});

test("a wait ends with its time and a code of its own, and the rollout, whose plan is in a file, goes on", async () => {
  const server = await useServer();
  const env = { SLUICE_API_TOKEN: TOKEN, SLUICE_DATA_DIR: server.dataDir };
  await deploy(server, "quiet", STABLE);
  await uploadVersion(server, "quiet", STABLE);
  const plan = join(server.dataDir, "plan.json");
  const cohort = { type: "cookie", name: "staff", value: "1" };
  await writeFile(plan, JSON.stringify({ stages: [{ percentage: 0 }, { percentage: 10 }], cohort }));
  const start = ["rollout", "start", "quiet", "--to", "latest", "--plan", plan, "--max-harmed", "3"];
  const { code: exit, stdout, stderr } = await runSluice([...start, "--wait", "--timeout", "2s"], env);
  expect([exit, stdout]).toEqual([
    4,
    expect.stringContaining("quiet: holding, no client has used the candidate"),
  ]);
  expect(stderr).toMatch(
    /^sluice: The rollout has not ended within 2 s, and goes on\. It was holding: no client/,
  );
  const { result } = await call(server, "GET", "/workers/scripts/quiet/rollouts");
  expect(result).toMatchObject([
    { phase: "holding", waiting: "traffic", cohort, percentage: 0, plan: { gates: { max_harmed: 3 } } },
  ]);
});
