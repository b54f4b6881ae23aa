/**
 * The traffic processes, if there are several (`--processes`): plain workerd with the same bundle. Each has its own
 * listening socket on the one port, and the kernel spreads connections over them. (With one shared socket, the first
 * process to wake takes a whole burst: in 3 of 10 runs, one process got all 32 connections.) They read the control
 * process's KV, and the control process tells them of every change before the operator gets the answer: see
 * src/runtime/fleet.ts. Both use Unix sockets in a folder that only the server's user can enter, so that nobody else can
 * talk to them or pose as them.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { serializeConfig } from "miniflare";
import workerd from "workerd";
import type { FollowerMessage } from "../runtime/messages.ts";
import { type Bundle, loadBundle } from "./bundle.ts";
import type { ServeConfig } from "./config.ts";
import { UsageError } from "./data.ts";
import type { Logger } from "./logger.ts";
import { COMPATIBILITY_DATE, DRAIN_MS, type Followers, trafficBindings, V8_FLAGS } from "./workerd.ts";

/** First and longest pause before an ended process is restarted, in ms. */
const RESTART_MS = { first: 100, longest: 5_000 };
/** A process that ran at least this long, in ms, is restarted after the first pause again. */
const STABLE_MS = 10_000;
/** The host name that marks a connection to one of Miniflare's direct sockets as RPC. */
const MINIFLARE_RPC_HOST = "miniflare-unsafe-internal-capnp-connect";
/** How long a process may take to start, in ms. */
const START_MS = 20_000;

interface TrafficEvents {
  /** Called after each start, with the ids of all processes. */
  readonly started: (pids: readonly number[]) => void;
  readonly drained: () => void;
}

export class Traffic {
  readonly followers: Followers;
  readonly #config: ServeConfig;
  readonly #logger: Logger;
  readonly #events: TrafficEvents;
  readonly #folder = mkdtempSync(join(tmpdir(), "sluice-"));
  readonly #processes = new Map<string, ChildProcess>();
  #workerConfig: Buffer = Buffer.alloc(0);
  #draining = false;

  constructor(config: ServeConfig, logger: Logger, events: TrafficEvents) {
    this.#config = config;
    this.#logger = logger;
    this.#events = events;
    const names = Array.from({ length: config.processes }, (_, i) => `FOLLOWER_${i}`);
    this.followers = {
      addresses: Object.fromEntries(names.map((name) => [name, `unix:${this.#socketOf(name)}`])),
      replica: this.#socketOf("replica:0"),
      remote: this.#socketOf("remote:0"),
    };
  }

  /** Resolves once all processes serve. */
  async start(): Promise<void> {
    this.#workerConfig = await configOf(this.#config, await loadBundle("sluice"), this.followers);
    const names = Object.keys(this.followers.addresses);
    process.once("exit", () => this.#kill());
    for (const name of names) await this.#spawn(name, RESTART_MS.first);
    await Promise.all(names.map((name) => this.#answers(name)));
  }

  /** Stops listening, lets requests finish and ends the processes, after `DRAIN_MS` at the latest. Then calls `drained`. */
  drain(): void {
    this.#draining = true;
    for (const child of this.#processes.values()) child.kill("SIGTERM");
    setTimeout(() => this.#kill(), DRAIN_MS).unref();
    this.#finishDrain();
  }

  #kill(): void {
    for (const child of this.#processes.values()) child.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** @param pause before a restart if the process ends soon, in ms */
  async #spawn(name: string, pause: number): Promise<void> {
    const server = await listen(this.#config);
    if (this.#draining) {
      server.close();
      return;
    }
    rmSync(this.#socketOf(name), { force: true });
    const child = spawn(
      workerd.default,
      [
        "serve",
        "--binary",
        // Worker Loader needs it.
        "--experimental",
        "--socket-fd=traffic=3",
        `--socket-addr=follower=unix:${this.#socketOf(name)}`,
        "-",
      ],
      { stdio: ["pipe", "pipe", "pipe", descriptorOf(server)], env: { ...process.env, TZ: "UTC" } },
    );
    // The process has its own copy of the socket. This one must not accept connections.
    server.close();
    const started = Date.now();
    // If the process ends before it reads its configuration, its exit is handled below.
    child.stdin?.on("error", () => {});
    child.stdin?.end(this.#workerConfig);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface(stream).on("line", (line) => this.#logLine(line));
    }
    this.#processes.set(name, child);
    child.once("spawn", () => this.#events.started(this.#pids()));
    const ended = (why: Readonly<Record<string, unknown>>) => {
      this.#processes.delete(name);
      if (this.#draining) return this.#finishDrain();
      this.#logger.log("error", "traffic-process-ended", { process: name, ...why });
      const next = Date.now() - started > STABLE_MS ? RESTART_MS.first : pause;
      void this.#restart(name, next);
    };
    child.once("exit", (code, signal) => ended({ code, signal }));
    // If the process could not be started, there is no exit event.
    child.once("error", (error) => {
      if (child.pid === undefined) ended({ why: error.message });
    });
  }

  async #restart(name: string, pause: number): Promise<void> {
    await sleep(pause);
    if (this.#draining) return;
    const longer = Math.min(pause * 2, RESTART_MS.longest);
    try {
      await this.#spawn(name, longer);
    } catch (error) {
      this.#logger.log("error", "traffic-process-not-started", { process: name, why: String(error) });
      void this.#restart(name, longer);
    }
  }

  #finishDrain(): void {
    if (this.#processes.size > 0) return;
    rmSync(this.#folder, { recursive: true, force: true });
    this.#events.drained();
  }

  #pids(): number[] {
    return [...this.#processes.values()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  #socketOf(name: string): string {
    return join(this.#folder, name);
  }

  async #answers(name: string): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (!(await ask(this.#socketOf(name)))) {
      if (Date.now() > deadline) throw new Error(`the traffic process ${name} does not answer`);
      await sleep(20);
    }
  }

  /** workerd prints one JSON object per line, but plain text before it has read its configuration. */
  #logLine(line: string): void {
    if (line === "") return;
    try {
      const { level, message } = JSON.parse(line);
      this.#logger.fromRuntime(level, message);
    } catch {
      this.#logger.fromRuntime("error", line);
    }
  }
}

/** Opens a listening socket for one process. */
function listen({ host, trafficPort }: ServeConfig): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why =
        error.code === "ENOTSUP" ? "this system cannot share a port between processes" : error.message;
      reject(new UsageError(`Cannot listen on ${host}:${trafficPort} with --processes: ${why}.`));
    });
    server.listen({ host, port: trafficPort, reusePort: true, backlog: 4096 }, () => resolve(server));
  });
}

/** The socket's file descriptor, for which Node has no public API. */
function descriptorOf(server: Server): number {
  return (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}

/** Whether a traffic process answers, to a message that asks for nothing. */
function ask(socketPath: string): Promise<boolean> {
  const message: FollowerMessage = { type: "prepare", worker: "", versions: [] };
  return new Promise((resolve) => {
    const outgoing = request(
      { socketPath, method: "POST", path: "/", headers: { Host: "follower" } },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    outgoing.once("error", () => resolve(false));
    outgoing.end(JSON.stringify(message));
  });
}

/** The configuration of a traffic process, in the format of workerd's src/workerd/server/workerd.capnp. */
async function configOf(
  config: ServeConfig,
  bundle: Bundle,
  { replica, remote }: Followers,
): Promise<Buffer> {
  const { modules, build } = bundle;
  return serializeConfig({
    structuredLogging: true,
    v8Flags: V8_FLAGS,
    services: [
      {
        name: "sluice",
        worker: {
          compatibilityDate: COMPATIBILITY_DATE,
          modules: modules.map(({ type, path, contents }) =>
            type === "ESModule"
              ? { name: path, esModule: contents as string }
              : { name: path, wasm: contents as Uint8Array },
          ),
          bindings: [
            { name: "SLUICE_KV", kvNamespace: { name: "replica" } },
            { name: "SLUICE_REMOTE", service: { name: "remote" } },
            { name: "LOADER", workerLoader: { id: "sluice" } },
            { name: "SLUICE_FOLLOWERS", json: "[]" },
            ...Object.entries(trafficBindings(config, build)).map(([name, text]) => ({ name, text })),
          ],
        },
      },
      {
        name: "replica",
        external: { address: `unix:${replica}`, http: {} },
      },
      {
        name: "remote",
        external: { address: `unix:${remote}`, http: { capnpConnectHost: MINIFLARE_RPC_HOST } },
      },
      {
        // Versions may connect to any address, as under Miniflare.
        name: "internet",
        network: {
          allow: ["public", "private", "240.0.0.0/4"],
          tlsOptions: { trustBrowserCas: true, trustedCertificates: extraCertificates() },
        },
      },
    ],
    sockets: [
      { name: "traffic", http: {}, service: { name: "sluice" } },
      { name: "follower", http: {}, service: { name: "sluice", entrypoint: "Follower" } },
    ],
  });
}

function extraCertificates(): string[] {
  const file = process.env.NODE_EXTRA_CA_CERTS;
  if (file === undefined) return [];
  try {
    return (
      readFileSync(file, "utf8").match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
    );
  } catch {
    // Node has warned about the unreadable file.
    return [];
  }
}
