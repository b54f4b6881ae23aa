/** Starts the real `sluice serve` on free ports, with a data folder that is deleted afterwards. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";

export const ROOT = resolve(import.meta.dirname, "../..");
/** Whether servers run everything in one process, which starts in half the time. */
const IS_SINGLE = process.env.SLUICE_TEST_SINGLE === "1";
/** Whether long series are run in full, and what takes long is measured: `npm run test:full`, on a machine of its own. */
const IS_FULL = process.env.SLUICE_TEST_FULL === "1";
/** How much of a long series a test goes through: usually, as much as finds what it looks for on nearly every run. */
export const series = <Length>({ full, usual }: { full: Length; usual: Length }): Length =>
  IS_FULL ? full : usual;
export const TOKEN = "token-for-the-tests";

/** The environment without the SLUICE_ variables of whoever runs the tests. */
export function cleanEnv(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SLUICE_")));
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface ServerOptions {
  /** More arguments of `sluice serve`. `--no-demo` is always given, unless `demo` is set. */
  readonly args?: readonly string[];
  readonly demo?: boolean;
  /** Whether its versions hang from the first request on, so that it need not become healthy. */
  readonly hangs?: boolean;
  /** Descriptors that each of its processes may have open; by default, as many as the tests may. */
  readonly descriptors?: number;
  /** Ports and folder of a server that ran before; new ones by default. */
  readonly like?: Pick<Server, "trafficPort" | "controlPort" | "dataDir">;
}

export class Server {
  readonly trafficPort: number;
  readonly controlPort: number;
  readonly dataDir: string;
  readonly process: ChildProcess;
  /** What it has printed. */
  output = "";

  constructor(process: ChildProcess, at: { trafficPort: number; controlPort: number; dataDir: string }) {
    this.process = process;
    this.trafficPort = at.trafficPort;
    this.controlPort = at.controlPort;
    this.dataDir = at.dataDir;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
  }

  get control(): string {
    return `http://127.0.0.1:${this.controlPort}`;
  }

  /** Variables that point wrangler at this server. */
  get wranglerEnv(): Record<string, string> {
    return {
      CLOUDFLARE_API_BASE_URL: `${this.control}/client/v4`,
      CLOUDFLARE_API_TOKEN: TOKEN,
      CLOUDFLARE_ACCOUNT_ID: "sluice",
    };
  }

  /** A request of an end user. Names of `*.localhost` are not looked up: the host goes into the header. */
  traffic(
    worker: string,
    options: { path?: string; method?: string; headers?: Record<string, string>; body?: string } = {},
  ): Promise<Answer> {
    const { promise, resolve: done, reject } = Promise.withResolvers<Answer>();
    const outgoing = request(
      {
        host: "127.0.0.1",
        port: this.trafficPort,
        path: options.path ?? "/",
        method: options.method ?? "GET",
        headers: { ...options.headers, Host: `${worker}.localhost:${this.trafficPort}` },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          done({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(options.body);
    return promise;
  }

  /** A call of the API below the account; see client.ts for typed ones. */
  api(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.control}/client/v4/accounts/sluice${path}`, {
      method,
      ...init,
      headers: { Authorization: `Bearer ${TOKEN}`, ...(init.headers as Record<string, string>) },
    });
  }

  /** kill -9, of the server and of the runtime that it left behind. */
  async kill(): Promise<void> {
    const { default: fs } = await import("node:fs");
    const { runtime_pid } = JSON.parse(fs.readFileSync(join(this.dataDir, "server.json"), "utf8"));
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    try {
      process.kill(runtime_pid, "SIGKILL");
    } catch {
      // It had ended, and was about to be started again.
    }
    await exited;
  }

  /** kill -9 of the server only: its runtime goes on. */
  async killSupervisor(): Promise<void> {
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exited;
  }

  /** SIGTERM. Resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return this.process.exitCode;
    const exited = once(this.process, "exit");
    this.process.kill("SIGTERM");
    const [code] = await exited;
    return code;
  }
}

/** Starts a server and stops it when the test or the file (from a hook: call `stop` there) is done. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const at = options.like ?? {
    trafficPort: await freePort(),
    controlPort: await freePort(),
    dataDir: join(await mkdtemp(join(tmpdir(), "sluice-test-")), "data"),
  };
  // Every process inherits the limit. The shell becomes the server, so that signals reach it.
  const limit =
    options.descriptors === undefined ? [] : ["sh", "-c", `ulimit -n ${options.descriptors}; exec "$0" "$@"`];
  const [command = "", ...first] = [...limit, process.execPath];
  const child = spawn(
    command,
    [
      ...first,
      join(ROOT, "bin/sluice.js"),
      "serve",
      ...["--traffic-port", String(at.trafficPort), "--control-port", String(at.controlPort)],
      ...["--data-dir", at.dataDir, "--api-token", TOKEN],
      ...(options.demo ? [] : ["--no-demo"]),
      // Tests of what a hang does say so themselves. On a busy machine, no other one may take slowness for a hang.
      ...(options.args?.includes("--hang-timeout") === true ? [] : ["--hang-timeout", "20"]),
      ...(IS_SINGLE && options.args?.includes("--processes") !== true ? ["--single-process"] : []),
      ...(options.args ?? []),
    ],
    { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: cleanEnv() },
  );
  const server = new Server(child, at);
  await waitUntil(async () => {
    if (child.exitCode !== null)
      throw new Error(`the server ended with ${child.exitCode}:\n${server.output}`);
    // The log says when it is done with everything; /healthz answers a little before a demo is deployed.
    const isReady = server.output.includes('"event":"ready"');
    return isReady && (options.hangs === true || (await isHealthy(server)));
  });
  return server;
}

/** A server for one test. */
export async function useServer(options: ServerOptions = {}): Promise<Server> {
  const server = await startServer(options);
  onTestFinished(() => disposeServer(server));
  return server;
}

export async function disposeServer(server: Server): Promise<void> {
  await server.stop();
  await rm(resolve(server.dataDir, ".."), { recursive: true, force: true });
}

async function isHealthy(server: Server): Promise<boolean> {
  try {
    return (await fetch(`${server.control}/healthz`)).status === 200;
  } catch {
    return false;
  }
}

/** Polls until the condition holds; fails after `limitMs`. */
export async function waitUntil(
  condition: () => Promise<boolean> | boolean,
  limitMs = 120_000,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`the condition did not hold within ${limitMs} ms`);
    await sleep(25);
  }
}

/**
 * Ports below those that the system gives to outgoing connections (from 32768 on Linux): one of these would be taken
 * now and then between its choice here and the server's listening. Each worker of the test run has a range of its own.
 */
const RANGE = { first: 12_000 + (Number(process.env.VITEST_POOL_ID ?? 0) % 4) * 5_000, size: 5_000 };
let next = Math.floor(Math.random() * RANGE.size);

export async function freePort(): Promise<number> {
  for (;;) {
    const port = RANGE.first + (next++ % RANGE.size);
    const probe = createServer();
    const { promise, resolve: settle } = Promise.withResolvers<boolean>();
    probe.once("error", () => settle(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => settle(true)));
    if (await promise) return port;
  }
}
