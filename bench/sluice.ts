/** Starts `sluice serve` as an operator does, on free ports and with a temporary folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TOKEN = "token-for-the-benchmark";
const START_MS = 60_000;

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export class Sluice {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly trafficPort: number;
  readonly controlPort: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  private constructor(child: ChildProcess, folder: string, trafficPort: number, controlPort: number) {
    this.#child = child;
    this.#folder = folder;
    this.trafficPort = trafficPort;
    this.controlPort = controlPort;
  }

  /** @param folder parent of the data folder `data`, which may already have contents */
  static async start(
    args: readonly string[] = [],
    folder = mkdtempSync(join(tmpdir(), "sluice-bench-")),
  ): Promise<Sluice> {
    const [traffic, control] = [await freePort(), await freePort()];
    const child = spawn(
      process.execPath,
      [
        join(import.meta.dirname, "../bin/sluice.js"),
        ...["serve", "--no-demo", "--log", "warn", "--api-token", TOKEN, "--data-dir", join(folder, "data")],
        ...["--traffic-port", String(traffic), "--control-port", String(control), ...args],
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    const sluice = new Sluice(child, folder, traffic, control);
    const deadline = Date.now() + START_MS;
    while (!(await sluice.#healthy())) {
      if (child.exitCode !== null || Date.now() > deadline) {
        await sluice.stop();
        throw new Error("sluice serve did not start");
      }
      await sleep(50);
    }
    return sluice;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    if (this.#child.exitCode === null) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Process ids of the control process, and of the traffic processes if there are any. */
  get pids(): {
    readonly runtime_pid: number;
    readonly validator_pid: number;
    readonly traffic_pids: number[];
    readonly canary_pid: number;
    readonly objects_pid: number;
  } {
    return JSON.parse(readFileSync(join(this.#folder, "data/server.json"), "utf8"));
  }

  /** The supervisor's process id and those of all its processes. */
  get allPids(): number[] {
    const { runtime_pid, validator_pid, traffic_pids, canary_pid, objects_pid } = this.pids;
    const pids = [runtime_pid, validator_pid, ...traffic_pids, canary_pid, objects_pid];
    return [this.#child.pid ?? 0, ...pids].filter((pid) => pid > 0);
  }

  /** Deploys a new version of the Worker at 100%. @returns the version's id */
  async deploy(
    worker: string,
    code: string,
    metadata: Readonly<Record<string, unknown>> = {},
  ): Promise<string> {
    return (await this.#api("PUT", `/${worker}`, form(code, metadata))).deployment_id;
  }

  /** Uploads one asset. @returns the token for the metadata of its version */
  async uploadFile(worker: string, path: string, hash: string, content: string): Promise<string> {
    const manifest = JSON.stringify({ manifest: { [path]: { hash, size: content.length } } });
    const { jwt, buckets } = await this.#api("POST", `/${worker}/assets-upload-session`, manifest);
    if (buckets.length === 0) return jwt;
    const url = `http://127.0.0.1:${this.controlPort}/client/v4/accounts/sluice/workers/assets/upload/${hash}`;
    const headers = { Authorization: `Bearer ${jwt}`, "Content-Type": "text/javascript" };
    const response = await fetch(url, { method: "POST", body: content, headers });
    return ((await response.json()) as { result: { jwt: string } }).result.jwt;
  }

  async upload(worker: string, code: string): Promise<string> {
    return (await this.#api("POST", `/${worker}/versions`, form(code))).id;
  }

  async split(worker: string, ...shares: readonly (readonly [string, number])[]): Promise<void> {
    const versions = shares.map(([version_id, percentage]) => ({ version_id, percentage }));
    await this.#api("POST", `/${worker}/deployments`, JSON.stringify({ strategy: "percentage", versions }));
  }

  /** One request to the traffic side, over a connection that may be reused. */
  get(worker: string, key?: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: "127.0.0.1",
          port: this.trafficPort,
          agent: this.#agent,
          headers: {
            Host: `${worker}.localhost`,
            ...(key === undefined ? {} : { "Cloudflare-Workers-Version-Key": key }),
          },
        },
        (response) => {
          let body = "";
          response.setEncoding("utf8");
          response.on("data", (chunk) => {
            body += chunk;
          });
          response.on("error", reject);
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
        },
      );
      outgoing.on("error", reject);
      outgoing.end();
    });
  }

  async #healthy(): Promise<boolean> {
    try {
      return (await fetch(`http://127.0.0.1:${this.controlPort}/healthz`)).ok;
    } catch {
      return false;
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the replies of several endpoints
  async #api(method: string, path: string, body: string | FormData): Promise<any> {
    const url = `http://127.0.0.1:${this.controlPort}/client/v4/accounts/sluice/workers/scripts${path}`;
    const response = await fetch(url, { method, body, headers: { Authorization: `Bearer ${TOKEN}` } });
    const reply = (await response.json()) as { success: boolean; result: unknown };
    if (!reply.success) throw new Error(`${method} ${path}: ${JSON.stringify(reply)}`);
    return reply.result;
  }
}

function form(code: string, metadata: Readonly<Record<string, unknown>> = {}): FormData {
  const body = new FormData();
  body.set(
    "metadata",
    JSON.stringify({
      main_module: "index.js",
      compatibility_date: "2026-11-17",
      bindings: [],
      ...metadata,
    }),
  );
  body.append("index.js", new File([code], "index.js", { type: "application/javascript+module" }));
  return body;
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  return port;
}
