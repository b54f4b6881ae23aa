/**
 * `node scripts/predict.ts`: compares what `sluice simulate` predicts with rollouts of real Workers under real traffic: the
 * median time until a candidate with ten times the failures is rolled back. Takes about six minutes.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const WORKERS = 20;
const ROUNDS = 3;
/** New clients of each Worker per second, each with one request. */
const CLIENTS = 25;
const [STABLE, CANDIDATE] = [1, 10];
const STAGES = [{ percentage: 20, soak_seconds: 600 }];
const TOKEN = "token-of-the-prediction";
const [TRAFFIC_PORT, CONTROL_PORT] = [8791, 8792];
const SLUICE = new URL("../bin/sluice.js", import.meta.url).pathname;

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

async function predict(): Promise<number> {
  const options = ["--clients", CLIENTS, "--stable", STABLE, "--candidate", CANDIDATE, "--stages", "20%:10m"];
  const args = [SLUICE, "simulate", ...options.map(String), "--runs", "500", "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout).rolled_back.median_seconds;
}

async function call<T>(method: string, path: string, body?: BodyInit | object): Promise<T> {
  const isForm = body instanceof FormData;
  const response = await fetch(
    `http://127.0.0.1:${CONTROL_PORT}/client/v4/accounts/sluice/workers/scripts${path}`,
    {
      method,
      headers: {
        Authorization: `Bearer ${TOKEN}`,
        ...(isForm ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
    },
  );
  const { result, errors } = (await response.json()) as { result: T; errors: unknown[] };
  if (!response.ok) throw new Error(JSON.stringify(errors));
  return result;
}

function upload(failing: number): FormData {
  const form = new FormData();
  const code = `export default { fetch: () => new Response("", { status: Math.random() < ${failing / 100} ? 500 : 200 }) };`;
  form.set("metadata", JSON.stringify({ main_module: "index.js", compatibility_date: "2025-01-01" }));
  form.set("index.js", new File([code], "index.js", { type: "application/javascript+module" }));
  return form;
}

/** Sends a Worker its clients until it is told to stop. */
async function traffic(worker: string, signal: AbortSignal): Promise<void> {
  for (let client = 0; !signal.aborted; client++) {
    const headers = {
      Host: `${worker}.localhost`,
      "Cloudflare-Workers-Version-Key": `${worker}-${client}-${Math.random()}`,
    };
    const outgoing = request({ port: TRAFFIC_PORT, host: "127.0.0.1", agent, headers }, (response) =>
      response.resume(),
    );
    outgoing.on("error", () => {});
    outgoing.end();
    await sleep((-Math.log(1 - Math.random()) * 1000) / CLIENTS);
  }
}

/** @returns the seconds until the rollback */
async function rollOut(worker: string): Promise<number> {
  await call("PUT", `/${worker}`, upload(STABLE));
  const { id: version_id } = await call<{ id: string }>("POST", `/${worker}/versions`, upload(CANDIDATE));
  const end = new AbortController();
  const clients = traffic(worker, end.signal);
  await sleep(2_000);
  const plan = { version_id, stages: STAGES, gates: { latency: false } };
  const { id } = await call<{ id: string }>("POST", `/${worker}/rollouts`, plan);
  for (;;) {
    await sleep(500);
    const found = await call<{ created_on: string; ended_on: string | null }>(
      "GET",
      `/${worker}/rollouts/${id}`,
    );
    if (found.ended_on === null) continue;
    end.abort();
    await clients;
    return (Date.parse(found.ended_on) - Date.parse(found.created_on)) / 1000;
  }
}

const folder = await mkdtemp(join(tmpdir(), "sluice-predict-"));
const ports = ["--traffic-port", String(TRAFFIC_PORT), "--control-port", String(CONTROL_PORT)];
const server = spawn(process.execPath, [SLUICE, "serve", "--data-dir", folder, "--log", "error", ...ports], {
  env: { ...process.env, SLUICE_API_TOKEN: TOKEN },
  stdio: ["ignore", "ignore", "inherit"],
});
try {
  for (;;) {
    const isUp = await fetch(`http://127.0.0.1:${CONTROL_PORT}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) break;
    await sleep(200);
  }
  const predicted = await predict();
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const names = Array.from({ length: WORKERS }, (_, i) => `round${round}-${i}`);
    times.push(...(await Promise.all(names.map(rollOut))));
  }
  const sorted = times.sort((x, y) => x - y);
  const median = sorted[Math.floor(sorted.length / 2)] as number;
  const ratio = (median / predicted).toFixed(2);
  console.log(`predicted ${predicted} s, real ${median} s in the median of ${times.length}, ratio ${ratio}`);
} finally {
  server.kill();
  await once(server, "exit");
  agent.destroy();
  await rm(folder, { recursive: true, force: true });
}
